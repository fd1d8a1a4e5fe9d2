// TwinBERT: two texts in towers of their own, which meet by a cosine or a residual layer. Lu, Jiao and Zhang 2020, arXiv 2002.06275.
import * as v from 'valibot'
import { bceWithLogits, type Parameter, type Tensor, tensor } from '../autograd/index.ts'
import { withoutBookkeeping } from '../config/encoder.ts'
import { type EncoderConfig, encoderShape, type FeaturesConfig } from '../config/index.ts'
import { oneOf, parseStrict, strict } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf, ClassesInput, PackedTokens, TextInput } from '../inputs.ts'
import type { Encoder } from '../nn/index.ts'
import { type CheckedRows, checkRows } from './check-batch.ts'
import { ClassModel } from './class-model.ts'
import { comparableClick } from './click.ts'
import {
  type CosineCrossing,
  Crossing,
  type CrossingConfig,
  parseCrossing,
  type ResidualCrossing,
} from './crossing.ts'
import { finishSides, type SidedConfig, sideEntries, sideInputs, textFeatures } from './sides.ts'
import { Towers } from './towers.ts'
import { expectVectors, SIDES, type SideName, type Sides, type TwoSided } from './two-sided.ts'

const schema = strict({
  architecture: v.optional(v.literal('TwinModel'), 'TwinModel'),
  ...sideEntries,
  pooling: v.optional(oneOf(['weighted', 'first_token']), 'weighted'),
  downscale: v.nullish(
    v.custom<number>(
      size => Number.isSafeInteger(size) && (size as number) >= 1,
      ({ input }) =>
        `expected an integer of at least 1, or null for vectors of the encoder's size, got ${JSON.stringify(input)}`,
    ),
    null,
  ),
  crossing: v.optional(v.unknown(), 'cosine'),
})

/** What a {@link TwinModel} is made of. */
export interface TwinConfig {
  architecture?: 'TwinModel'
  /** The texts, by column; it reads nothing else. */
  features_config: FeaturesConfig
  /** Which of them are the query, and which the ad. */
  sides: Sides
  /** Whether both sides go through one tower; true unless given. */
  tied?: boolean
  /** How tokens become a vector: 'weighted' by a softmax of learned scores unless given, or the first one. */
  pooling?: 'weighted' | 'first_token'
  /** Size of the vectors, behind a linear layer and tanh; null, as unless given, leaves the encoder's. */
  downscale?: number | null
  /** 'cosine' unless given, or 'residual', or an object with its options. */
  crossing?: 'cosine' | 'residual' | CosineCrossing | ({ type: 'residual' } & Partial<ResidualCrossing>)
  /** Classes, 2 unless given; the cosine takes no more. */
  num_labels?: number
  /** The encoder of each tower. */
  pretrained_model_config: EncoderConfig
  /** Folder of a saved encoder, which every tower starts from with `use_pretrained`. */
  model_name?: string
  /** Start from the weights in the folder `model_name`; default false. */
  use_pretrained?: boolean
}
/** {@link TwinConfig} with every default filled in. */
export interface ResolvedTwinConfig extends SidedConfig {
  architecture: 'TwinModel'
  pooling: 'weighted' | 'first_token'
  downscale: number | null
  crossing: CrossingConfig
}

/** What a {@link TwinModel} reads. */
export type TwinInputs = { query: TextInput; ad: TextInput; labels: ClassesInput & { trainOnly: true } }

/**
 * TwinBERT: query and ad go through an encoder each, or both through one, to a vector each; a cosine or a residual layer makes logits of the
 * two. Vectors of ads can be kept.
 *
 * @example
 * ```ts
 * import { TwinModel } from 'kernelgrad'
 *
 * const model = new TwinModel({
 *   features_config: { search: { dtype: 'token_id' }, title: { dtype: 'token_id' } },
 *   sides: { query: ['search'], ad: ['title'] },
 *   downscale: 64,
 *   pretrained_model_config: { vocab_size: 1000, dim: 128, n_heads: 4, n_layers: 2, hidden_dim: 256 },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class TwinModel extends ClassModel<TwinInputs, CheckedRows> implements TwoSided {
  static readonly architecture = 'TwinModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseTwin

  /** The configuration with every default. */
  readonly config: ResolvedTwinConfig
  readonly inputs: TwinInputs
  readonly sides: Record<SideName, TextInput>
  readonly vectorSize: number
  readonly bytes: boolean
  /** Declared alone: a field of its own would stand before the towers. */
  declare readonly crossing: Crossing
  readonly #towers: Towers

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: TwinConfig) {
    super()
    this.config = parseTwin(config, 'the model configuration')
    const { sides, tied, pooling, downscale, crossing, num_labels } = this.config
    const encoder = this.config.pretrained_model_config
    this.sides = sideInputs(this.config, sides, { keepFirst: pooling === 'first_token' })
    const labels = { kind: 'classes', column: 'label', classes: num_labels, trainOnly: true } as const
    this.inputs = { ...this.sides, labels }
    this.vectorSize = downscale ?? encoderShape(encoder).dim
    this.bytes = downscale !== null
    this.#towers = new Towers(tied, { encoder, pooling, downscale })
    Object.assign(this, this.#towers.fields)
    this.crossing = new Crossing(crossing, this.vectorSize, num_labels)
  }

  override comparable(): unknown {
    return comparableClick({ ...this.config, mlp_config: null })
  }

  override encoders(): Record<string, Encoder> {
    return this.#towers.encoders
  }

  encode(side: SideName, text: PackedTokens): Tensor {
    return this.#towers.encode(side, text)
  }

  cross(query: Tensor, ad: Tensor): Tensor {
    expectVectors('TwinModel.cross', this.vectorSize, query, ad)
    return this.crossing.forward(query, ad).logits
  }

  tower(side: SideName): [name: string, parameter: Parameter][] {
    return this.#towers.parameters(side)
  }

  /** Every stage by itself: both vectors [B, E], what they cross to (the cosine [B, 1], or the residual layer's values), and logits. */
  parts(batch: Partial<BatchOf<TwinInputs>>): { query: Tensor; ad: Tensor; crossed: Tensor; logits: Tensor } {
    return this.#crossed(this.checked({ ...batch, labels: undefined }).texts)
  }

  protected override checked(batch: Partial<BatchOf<TwinInputs>>): CheckedRows {
    return checkRows('TwinModel', batch, { texts: SIDES, classes: this.config.num_labels })
  }

  /** [B, 1] of the cosine form, where p = sigmoid(z); else [B, C]. */
  protected override logitsOf({ texts }: CheckedRows): Tensor {
    return this.#crossed(texts).logits
  }

  protected override lossOfChecked(
    logits: Tensor,
    checked: CheckedRows,
    batch: Partial<BatchOf<TwinInputs>>,
  ): Tensor {
    return logits.shape[1] === 1 && checked.labels
      ? oneLogitLoss(logits, checked.labels)
      : super.lossOfChecked(logits, checked, batch)
  }

  #crossed(texts: Record<string, PackedTokens>) {
    const query = this.encode('query', texts.query!)
    const ad = this.encode('ad', texts.ad!)
    return { query, ad, ...this.crossing.forward(query, ad) }
  }
}

const oneLogitLoss = (logits: Tensor, labels: Uint32Array): Tensor =>
  bceWithLogits(logits, tensor(logits.gpu, Float32Array.from(labels), [labels.length, 1]))

function parseTwin(json: unknown, where: string): ResolvedTwinConfig {
  const raw = parseStrict(schema, withoutBookkeeping(json, ['model_type']), where)
  const { architecture, pooling, downscale, crossing, ...own } = raw
  const model = finishSides(own, where)
  const texts = textFeatures(model.features_config)
  const other = Object.keys(model.features_config).find(name => !texts.includes(name))
  if (other !== undefined)
    throw new ConfigError(
      `${where}: features_config.${other}: dtype '${model.features_config[other]!.dtype}', expected 'token_id' or 'text': a TwinModel reads texts alone; leave the feature out, or take a LateFusionModel`,
    )
  const size = downscale ?? encoderShape(model.pretrained_model_config).dim
  return {
    architecture,
    ...model,
    pooling,
    downscale,
    crossing: parseCrossing(crossing, size, model.num_labels, where),
  }
}
