import {
  concatColumns,
  meanPool,
  meanPoolConcat,
  type PackedRows,
  type Part,
  type Tensor,
} from '../autograd/index.ts'
import {
  encoderShape,
  type FeaturesConfig,
  type FusionConfig,
  type ModelConfig,
  namesByDtype,
  parseModelConfig,
  type ResolvedModelConfig,
} from '../config/index.ts'
import type { BatchOf } from '../inputs.ts'
import {
  Combiner,
  createEncoder,
  type Embedding,
  type Encoder,
  Linear,
  type ModuleDict,
  Sequential,
} from '../nn/index.ts'
import { type CheckedBatch, checkBatch } from './check-batch.ts'
import { ClassModel } from './class-model.ts'
import { type ClickInputs, clickInputs, comparableClick } from './click.ts'
import { embeddingTables, mlpLayers, tabularParts } from './tabular.ts'

/** Features without the table's. */
const textsOf = ({ features_config }: ResolvedModelConfig): FeaturesConfig =>
  Object.fromEntries(
    Object.entries(features_config).filter(([, { dtype }]) => dtype === 'token_id' || dtype === 'text'),
  )

const combinerOf = (
  { method, batch_norm, mlp_division, dropout, gating_beta }: FusionConfig,
  sizes: { text: number; categorical: number; numerical: number },
): Combiner =>
  new Combiner(method, {
    ...sizes,
    batchNorm: batch_norm,
    mlpDivision: mlp_division,
    dropout,
    gatingBeta: gating_beta,
  })

/**
 * The click model: a DistilBERT or BERT encoder over the text, mean-pooled, beside categorical embeddings and numerical
 * values, through an MLP to class logits. `fusion` says how text and table meet, side by side where it says nothing: see `Combiner`.
 *
 * @example
 * ```ts
 * import { TextTabularModel } from 'kernelgrad'
 *
 * const model = new TextTabularModel({
 *   features_config: {
 *     title: { dtype: 'token_id' },
 *     city: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 },
 *   },
 *   mlp_config: [{ hidden_size: 32, activation_function: 'ReLU' }],
 *   pretrained_model_config: { vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class TextTabularModel extends ClassModel<ClickInputs, CheckedBatch> {
  static readonly architecture = 'TextTabularModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseModelConfig

  /** The configuration with every default. */
  readonly config: ResolvedModelConfig
  readonly inputs: ClickInputs
  /** The encoder, DistilBERT or BERT. */
  readonly bert: Encoder
  /** A table per feature that owns one, named `<feature>_embedding`. */
  readonly categorical_embeddings: ModuleDict<Embedding>
  /** undefined where text and table stand side by side. */
  readonly tabular_combiner: Combiner | undefined
  /** undefined where the configuration has none. */
  readonly mlp: Sequential | undefined
  /** To the class logits. */
  readonly head: Linear
  readonly #features: FeaturesConfig

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: ModelConfig) {
    super()
    const resolved = parseModelConfig(config, 'the model configuration')
    this.config = resolved
    const { fusion } = resolved
    // The text alone: no column of the table is read.
    const features = fusion?.method === 'text_only' ? textsOf(resolved) : resolved.features_config
    this.#features = features
    this.inputs = clickInputs({ ...resolved, features_config: features })
    this.bert = createEncoder(resolved.pretrained_model_config)
    const { tables, width: tabular } = embeddingTables(features)
    this.categorical_embeddings = tables
    const text = encoderShape(resolved.pretrained_model_config).dim
    const numerical = namesByDtype(features, 'numerical').length
    const sizes = { text, categorical: tabular - numerical, numerical }
    this.tabular_combiner = fusion && combinerOf(fusion, sizes)
    const width = this.tabular_combiner?.width ?? text + tabular
    const { layers, outFeatures } = mlpLayers(width, resolved.mlp_config ?? [])
    this.mlp = resolved.mlp_config ? new Sequential(layers) : undefined
    this.head = new Linear(outFeatures, resolved.num_labels)
  }

  override comparable(): unknown {
    return comparableClick(this.config)
  }

  override encoders(): Record<string, Encoder> {
    return { bert: this.bert }
  }

  /** Every stage by itself: hidden states [T, H], text embedding [B, H], MLP input (what fusion gives) and logits. */
  parts(batch: Partial<BatchOf<ClickInputs>>): {
    hidden: Tensor
    textEmbedding: Tensor
    mlpInput: Tensor
    logits: Tensor
  } {
    const { hidden, rows, tabular } = this.#inputs(this.checked(batch))
    const textEmbedding = meanPool(hidden, rows)
    const mlpInput = this.#combined(textEmbedding, tabular)
    return { hidden, textEmbedding, ...this.#outputs(mlpInput) }
  }

  protected override checked(batch: Partial<BatchOf<ClickInputs>>): CheckedBatch {
    const { categorical, numerical } = this.inputs
    const columns = { categorical: Object.keys(categorical.columns), numerical: numerical.columns }
    return checkBatch('TextTabularModel', batch, { ...columns, classes: this.config.num_labels })
  }

  /** The MLP's input; where text and table stand side by side, pooling and concatenation are one launch. */
  #joined(batch: CheckedBatch): Tensor {
    const { hidden, rows, tabular } = this.#inputs(batch)
    if (this.tabular_combiner) return this.#combined(meanPool(hidden, rows), tabular)
    return tabular.length ? meanPoolConcat(hidden, rows, tabular) : meanPool(hidden, rows)
  }

  /** Text and table by the method. */
  #combined(text: Tensor, tabular: Part[]): Tensor {
    if (!this.tabular_combiner) return tabular.length ? concatColumns([text, ...tabular]) : text
    const part = (columns: Part[]) => (columns.length ? concatColumns(columns) : undefined)
    const categorical = namesByDtype(this.#features, 'categorical').length
    return this.tabular_combiner.forward(
      text,
      part(tabular.slice(0, categorical)),
      part(tabular.slice(categorical)),
    )
  }

  /** Hidden states of the text, and the tabular features in the order they are concatenated. */
  #inputs(batch: CheckedBatch): { hidden: Tensor; rows: PackedRows; tabular: Part[] } {
    // Looked up where they are joined, all together.
    const tabular = tabularParts(this.gpu, this.#features, this.categorical_embeddings, batch)
    return { ...this.bert.forward(batch.text), tabular }
  }

  protected override logitsOf(batch: CheckedBatch): Tensor {
    return this.#outputs(this.#joined(batch)).logits
  }

  #outputs(mlpInput: Tensor): { mlpInput: Tensor; logits: Tensor } {
    return { mlpInput, logits: this.head.forward(this.mlp ? this.mlp.forward(mlpInput) : mlpInput) }
  }
}
