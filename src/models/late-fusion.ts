// The student of CTR-BERT: the texts in towers of their own, fused with the table behind them. Muhamed and others 2021.
import * as v from 'valibot'
import { concatColumns, expand, mul, type Parameter, type Part, type Tensor } from '../autograd/index.ts'
import { withoutBookkeeping } from '../config/encoder.ts'
import {
  type EncoderConfig,
  encoderShape,
  type FeatureInputs,
  type FeaturesConfig,
  featureInputs,
  type MlpLayerConfig,
  namesByDtype,
  type ResolvedMlpLayerConfig,
} from '../config/index.ts'
import { modelEntries } from '../config/model.ts'
import { parseStrict, strict } from '../config/schema.ts'
import type { BatchOf, PackedTokens, TextInput } from '../inputs.ts'
import { type Embedding, type Encoder, Linear, type ModuleDict, Sequential } from '../nn/index.ts'
import { type CheckedRows, type CheckedTable, checkRows, checkTable } from './check-batch.ts'
import { ClassModel } from './class-model.ts'
import { comparableClick } from './click.ts'
import { finishSides, type SidedConfig, sideEntries, sideInputs } from './sides.ts'
import { embeddingTables, mlpLayers, tabularParts } from './tabular.ts'
import { Towers } from './towers.ts'
import {
  expectVectors,
  SIDES,
  type SideName,
  type Sides,
  type TableBatch,
  type TwoSided,
} from './two-sided.ts'

const schema = strict({
  architecture: v.optional(v.literal('LateFusionModel'), 'LateFusionModel'),
  ...sideEntries,
  mlp_config: modelEntries.mlp_config,
})

/** What a {@link LateFusionModel} is made of. */
export interface LateFusionConfig {
  architecture?: 'LateFusionModel'
  /** The columns that the model reads: the texts of both sides, and the table. */
  features_config: FeaturesConfig
  /** Which of the texts are the query, and which the ad. */
  sides: Sides
  /** Whether both sides go through one encoder; true unless given. */
  tied?: boolean
  /** Layers between the fused features and the head; none when left out. */
  mlp_config?: MlpLayerConfig[] | null
  /** Number of classes, 2 unless given. */
  num_labels?: number
  /** The encoder of each tower. */
  pretrained_model_config: EncoderConfig
  /** Folder of a saved encoder, which every tower starts from with `use_pretrained`. */
  model_name?: string
  /** Start from the weights in the folder `model_name`; default false. */
  use_pretrained?: boolean
}

/** {@link LateFusionConfig} with every default filled in. */
export interface ResolvedLateFusionConfig extends SidedConfig {
  architecture: 'LateFusionModel'
  mlp_config: ResolvedMlpLayerConfig[] | null
}

/** What a {@link LateFusionModel} reads. */
export type LateFusionInputs = Omit<FeatureInputs, 'text'> & { query: TextInput; ad: TextInput }

/**
 * CTR-BERT's student: query and ad are mean-pooled in an encoder each, or both in one, to vectors q and d; q, d, their product, the
 * categorical embeddings and the numbers go through an MLP to class logits. Vectors of ads, and of queries, can be kept; with the encoders
 * frozen, `freeze: ['*bert.*']` in a stage, they stay right while the rest is trained on.
 *
 * @example
 * ```ts
 * import { LateFusionModel } from 'kernelgrad'
 *
 * const student = new LateFusionModel({
 *   features_config: {
 *     search: { dtype: 'token_id' },
 *     title: { dtype: 'token_id' },
 *     depth: { dtype: 'numerical' },
 *     city: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 },
 *   },
 *   sides: { query: ['search'], ad: ['title'] },
 *   mlp_config: [{ hidden_size: 32, activation_function: 'ReLU' }],
 *   pretrained_model_config: { vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class LateFusionModel extends ClassModel<LateFusionInputs, CheckedRows> implements TwoSided {
  static readonly architecture = 'LateFusionModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseLateFusion

  /** The configuration with every default. */
  readonly config: ResolvedLateFusionConfig
  readonly inputs: LateFusionInputs
  readonly sides: Record<SideName, TextInput>
  readonly vectorSize: number
  /** Means of hidden states may be of any size. */
  readonly bytes = false
  /** A table per feature that owns one, named `<feature>_embedding`. Declared alone, as what follows: the towers stand before them. */
  declare readonly categorical_embeddings: ModuleDict<Embedding>
  /** undefined where the configuration has none. */
  declare readonly mlp: Sequential | undefined
  /** To the class logits. */
  declare readonly head: Linear
  readonly #towers: Towers
  readonly #table: { categorical: string[]; numerical: string[] }

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: LateFusionConfig) {
    super()
    this.config = parseLateFusion(config, 'the model configuration')
    const { sides, tied, features_config, mlp_config, num_labels } = this.config
    const encoder = this.config.pretrained_model_config
    const { text: _, ...table } = featureInputs(features_config, { numLabels: num_labels })
    this.sides = sideInputs(this.config, sides)
    this.inputs = { ...this.sides, ...table }
    this.vectorSize = encoderShape(encoder).dim
    this.#table = {
      categorical: namesByDtype(features_config, 'categorical'),
      numerical: namesByDtype(features_config, 'numerical'),
    }
    this.#towers = new Towers(tied, { encoder, pooling: 'mean', downscale: null })
    Object.assign(this, this.#towers.fields)
    const { tables, width } = embeddingTables(features_config)
    this.categorical_embeddings = tables
    const { layers, outFeatures } = mlpLayers(3 * this.vectorSize + width, mlp_config ?? [])
    this.mlp = mlp_config ? new Sequential(layers) : undefined
    this.head = new Linear(outFeatures, num_labels)
  }

  override comparable(): unknown {
    return comparableClick(this.config)
  }

  override encoders(): Record<string, Encoder> {
    return this.#towers.encoders
  }

  encode(side: SideName, text: PackedTokens): Tensor {
    return this.#towers.encode(side, text)
  }

  cross(query: Tensor, ad: Tensor, batch: TableBatch = {}): Tensor {
    expectVectors('LateFusionModel.cross', this.vectorSize, query, ad)
    const table = checkTable('LateFusionModel.cross', batch, { ...this.#table, size: ad.shape[0]! })
    return this.#fused(query, ad, table).logits
  }

  tower(side: SideName): [name: string, parameter: Parameter][] {
    return this.#towers.parameters(side)
  }

  /** Every stage by itself: both vectors [B, H], what enters the MLP, and logits [B, C]. */
  parts(batch: Partial<BatchOf<LateFusionInputs>>): {
    query: Tensor
    ad: Tensor
    mlpInput: Tensor
    logits: Tensor
  } {
    return this.#parts(this.checked({ ...batch, labels: undefined }))
  }

  protected override checked(batch: Partial<BatchOf<LateFusionInputs>>): CheckedRows {
    const wanted = { texts: SIDES, ...this.#table, classes: this.config.num_labels }
    return checkRows('LateFusionModel', batch, wanted)
  }

  protected override logitsOf(checked: CheckedRows): Tensor {
    return this.#parts(checked).logits
  }

  #parts(checked: CheckedRows) {
    const query = this.encode('query', checked.texts.query!)
    const ad = this.encode('ad', checked.texts.ad!)
    return { query, ad, ...this.#fused(query, ad, checked) }
  }

  #fused(query: Tensor, ad: Tensor, table: CheckedTable): { mlpInput: Tensor; logits: Tensor } {
    const tabular: Part[] = tabularParts(
      this.gpu,
      this.config.features_config,
      this.categorical_embeddings,
      table,
    )
    const mlpInput = concatColumns([expand(query, ad.shape), ad, mul(query, ad), ...tabular])
    return { mlpInput, logits: this.head.forward(this.mlp ? this.mlp.forward(mlpInput) : mlpInput) }
  }
}

function parseLateFusion(json: unknown, where: string): ResolvedLateFusionConfig {
  const raw = parseStrict(schema, withoutBookkeeping(json, ['model_type']), where)
  const { architecture, mlp_config, ...own } = raw
  return { architecture, ...finishSides(own, where), mlp_config }
}
