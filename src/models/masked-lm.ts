// Masked language modelling: what an encoder learns from texts without labels, before it sees clicks (Devlin et al. 2019).
import * as v from 'valibot'
import {
  DenseParameter,
  mean,
  scale,
  segmentSum,
  stack,
  sum,
  type Tensor,
  type TiedCrossEntropy,
  takeRows,
  tensor,
  tiedCrossEntropy,
  tiedLinear,
} from '../autograd/index.ts'
import {
  encoderShape,
  type FeaturesConfig,
  featureInputs,
  isBert,
  parseEncoderConfig,
  parseFeaturesConfig,
  type ResolvedDistilBertConfig,
} from '../config/index.ts'
import { integer, parseStrict, probability, strict, text as word } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf, MaskedInput, TextInput } from '../inputs.ts'
import type { Figure, Metric } from '../metrics/index.ts'
import { activated, encoderActivation } from '../nn/encoder.ts'
import {
  DistilBertModel,
  type Embedding,
  type Encoder,
  encoderInit,
  type Layer,
  LayerNorm,
  Linear,
} from '../nn/index.ts'
import { Module } from '../nn/module.ts'
import { Model, type ModelConfiguration } from './model.ts'

const schema = strict({
  architecture: v.literal('DistilBertForMaskedLM'),
  /** The texts; features of other kinds are left aside, so that a click model's features serve as they are. */
  features_config: v.unknown(),
  pretrained_model_config: v.unknown(),
  mlp_config: v.optional(v.unknown()),
  num_labels: v.optional(v.unknown()),
  mlm_probability: v.optional(probability, 0.15),
  mask_token_id: v.optional(v.nullable(integer(0)), null),
  special_token_ids: v.optional(v.array(integer(0), 'expected a list of token ids'), []),
  model_name: v.optional(word),
  use_pretrained: v.optional(v.boolean('expected true or false'), false),
})

/** The configuration with every default. */
export interface MaskedLMConfig extends ModelConfiguration {
  architecture: 'DistilBertForMaskedLM'
  features_config: FeaturesConfig
  /** Of the encoder, as a click model's: `vocab_size` counts the tokens of the data. */
  pretrained_model_config: ResolvedDistilBertConfig
  /** Share of the tokens that are to be predicted, default 0.15. */
  mlm_probability: number
  /** What hides a token; null: a row is appended to the word table for it. */
  mask_token_id: number | null
  /** Tokens that are never hidden, beside padding and mask. */
  special_token_ids: number[]
}

/** What it reads: the texts, and which of their tokens are hidden. */
export type MaskedLMInputs = { text: TextInput; masked: MaskedInput }

/** The output projection: its weight is the word table's. */
class TiedProjection extends Module {
  readonly bias: DenseParameter
  readonly #words: Embedding

  constructor(words: Embedding) {
    super()
    this.bias = new DenseParameter([words.weight.shape[0]!], { kind: 'constant', value: 0 })
    this.#words = words
  }

  forward(x: Tensor): Tensor {
    return tiedLinear(x, this.#words.weight, this.bias)
  }

  crossEntropy(x: Tensor, labels: Tensor): TiedCrossEntropy {
    return tiedCrossEntropy(x, this.#words.weight, this.bias, labels)
  }

  protected override reprName(): string {
    return 'Linear'
  }
}

/**
 * `transformers.DistilBertForMaskedLM`: predicts hidden tokens of the texts. A click model starts from its folder with `use_pretrained`.
 */
export class DistilBertForMaskedLM extends Model<MaskedLMInputs> {
  static readonly architecture = 'DistilBertForMaskedLM'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseMaskedLM

  readonly config: MaskedLMConfig
  readonly inputs: MaskedLMInputs
  readonly activation: Layer
  readonly distilbert: DistilBertModel
  readonly vocab_transform: Linear
  readonly vocab_layer_norm: LayerNorm
  readonly vocab_projector: TiedProjection

  /** @throws ConfigError naming the key that is wrong, or for a BERT encoder */
  constructor(config: object) {
    super()
    this.config = parseMaskedLM(
      { architecture: 'DistilBertForMaskedLM', ...config },
      'the model configuration',
    )
    const { pretrained_model_config: encoder, mask_token_id: mask, special_token_ids } = this.config
    const { vocab_size, pad_token_id, max_position_embeddings } = encoder
    const { text } = featureInputs(this.config.features_config, {
      vocabSize: vocab_size,
      padTokenId: pad_token_id,
      maxPositions: max_position_embeddings,
    })
    this.inputs = {
      text: text!,
      masked: {
        kind: 'masked',
        of: 'text',
        probability: this.config.mlm_probability,
        maskTokenId: mask ?? vocab_size,
        specialTokenIds: special_token_ids,
      },
    }
    const shape = encoderShape(encoder)
    this.activation = encoderActivation(shape)
    this.distilbert = new DistilBertModel({ ...encoder, vocab_size: vocab_size + (mask === null ? 1 : 0) })
    this.vocab_transform = new Linear(shape.dim, shape.dim, encoderInit(shape.initializer_range))
    this.vocab_layer_norm = new LayerNorm(shape.dim, { eps: shape.eps })
    this.vocab_projector = new TiedProjection(this.distilbert.embeddings.word_embeddings)
  }

  /** [1], the mean cross-entropy of the hidden tokens; 0 where none is. */
  loss(batch: BatchOf<MaskedLMInputs>): Tensor {
    const { labels } = batch.masked
    if (!labels.length) return scale(sum(this.vocab_projector.bias), 0)
    return mean(this.#crossEntropy(batch).losses)
  }

  /** The hidden tokens. */
  override lossCount({ masked }: BatchOf<MaskedLMInputs>): number {
    return masked.labels.length
  }

  /** [B, 3]: of each row's hidden tokens the sum of their losses, how many there are, and how many are predicted right. */
  scores(batch: BatchOf<MaskedLMInputs>): Tensor {
    const { size, text, masked } = batch
    const n = masked.labels.length
    if (!n) return tensor(this.gpu, new Float32Array(size * 3), [size, 3])
    const { losses, right } = this.#crossEntropy(batch)
    const ones = tensor(this.gpu, new Float32Array(n).fill(1))
    const starts = new Uint32Array(size + 1)
    for (const position of masked.positions) starts[text.rowIds[position]! + 1]!++
    for (let b = 0; b < size; b++) starts[b + 1]! += starts[b]!
    return segmentSum(stack([losses, ones, right], 1), starts)
  }

  scoreNames(): string[] {
    return ['masked_loss', 'masked_tokens', 'masked_right']
  }

  metrics(): MaskedAccuracy {
    return new MaskedAccuracy()
  }

  override encoders(): Record<string, Encoder> {
    return { distilbert: this.distilbert }
  }

  /** Logits of every token of the vocabulary at every position of a text, [T, V]. */
  tokenLogits(text: BatchOf<MaskedLMInputs>['text']): Tensor {
    return this.vocab_projector.forward(this.#transform(this.distilbert.forward(text).hidden))
  }

  /** Only what is hidden is projected onto the vocabulary, and that a slice of it at a time. */
  #crossEntropy({ text, masked }: BatchOf<MaskedLMInputs>): TiedCrossEntropy {
    const { hidden } = this.distilbert.forward({ ...text, inputIds: masked.inputIds })
    const x = this.#transform(takeRows(hidden, masked.positions))
    return this.vocab_projector.crossEntropy(x, tensor(this.gpu, masked.labels))
  }

  #transform(hidden: Tensor): Tensor {
    return this.vocab_layer_norm.forward(activated(this.vocab_transform, this.activation, hidden))
  }
}

function parseMaskedLM(json: unknown, where: string): MaskedLMConfig {
  const { mlp_config: _, num_labels: __, model_name, ...own } = parseStrict(schema, json, where)
  const encoder = parseEncoderConfig(own.pretrained_model_config, `${where}: pretrained_model_config`)
  if (isBert(encoder))
    throw new ConfigError(
      `${where}: DistilBertForMaskedLM takes an encoder of model_type 'distilbert', got 'bert'`,
    )
  const features = parseFeaturesConfig(own.features_config, `${where}: features_config`)
  const texts = Object.entries(features).filter(([, { dtype }]) => dtype === 'token_id' || dtype === 'text')
  if (!texts.length)
    throw new ConfigError(`${where}: features_config has no feature of dtype 'token_id' or 'text'`)
  for (const [key, id] of [
    ['mask_token_id', own.mask_token_id],
    ...own.special_token_ids.map(id => ['special_token_ids', id] as const),
  ] as const)
    if (id !== null && id >= encoder.vocab_size)
      throw new ConfigError(
        `${where}: ${key}: ${id}, expected a token below vocab_size ${encoder.vocab_size}`,
      )
  if (own.mlm_probability === 0)
    throw new ConfigError(`${where}: mlm_probability is 0, expected a number in (0, 1)`)
  return {
    ...own,
    ...(model_name === undefined ? {} : { model_name }),
    features_config: Object.fromEntries(texts),
    pretrained_model_config: encoder,
  }
}

const FIGURES: Record<'loss' | 'accuracy' | 'perplexity', Figure> = {
  loss: { better: 'lower', title: 'Loss' },
  accuracy: { better: 'greater', title: 'Accuracy' },
  perplexity: { better: 'lower', title: 'Perplexity' },
}

/** Mean loss, accuracy and perplexity over all hidden tokens; NaN where none was. */
class MaskedAccuracy implements Metric {
  readonly figures = FIGURES
  #loss = 0
  #tokens = 0
  #right = 0

  /** Adds the scores of rows. */
  add(_batch: unknown, scores: Float32Array): void {
    for (let i = 0; i < scores.length; i += 3) {
      this.#loss += scores[i]!
      this.#tokens += scores[i + 1]!
      this.#right += scores[i + 2]!
    }
  }

  result(): { loss: number; accuracy: number; perplexity: number } {
    const loss = this.#loss / this.#tokens
    return { loss, accuracy: this.#right / this.#tokens, perplexity: Math.exp(loss) }
  }
}
