// A BERT cross encoder that learns from what people did: clicks, whatever places did to them, skips and the time spent; Baidu-ULTR (Zou and others 2022).
import {
  bceWithLogits,
  concatColumns,
  DenseParameter,
  firstToken,
  mean,
  reshape,
  scale,
  square,
  sub,
  sum,
  type Tensor,
  takeRows,
  tensor,
  tiedCrossEntropy,
  tiedLinear,
} from '../autograd/index.ts'
import { encoderShape } from '../config/index.ts'
import type { Columns } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf, ClassesInput, FloatsInput, MaskedInput, PackedTokens, TextInput } from '../inputs.ts'
import type { ListEvaluation } from '../metrics/index.ts'
import { activated, encoderActivation } from '../nn/encoder.ts'
import {
  BertModel,
  type Embedding,
  type Encoder,
  encoderInit,
  type Layer,
  LayerNorm,
  Linear,
} from '../nn/index.ts'
import { checkRows, sizeOf } from './check-batch.ts'
import {
  type CrossEncoderConfig,
  crossEncoderText,
  parseCrossEncoder,
  type ResolvedCrossEncoderConfig,
} from './cross-encoder-config.ts'
import { Model } from './model.ts'
import { type RankingInputs, rankingInputs } from './ranking-config.ts'
import { RankingLoss, totalLoss } from './ranking-loss.ts'

/** What a {@link CrossEncoder} reads; `masked`, `skip` and `dwell` where its configuration says so, and `positions` where the loss reads them. */
export type CrossEncoderInputs = {
  text: TextInput
  masked: MaskedInput & { trainOnly: true; lossOnly: true }
} & RankingInputs & {
    skip: ClassesInput & { trainOnly: true; lossOnly: true }
    dwell: FloatsInput & { trainOnly: true; lossOnly: true }
  }

/** A batch of {@link CrossEncoderInputs}, or the part of it that is needed. */
export type CrossEncoderBatch = Partial<BatchOf<CrossEncoderInputs>>

/** What a cross encoder makes of a batch to learn from. */
export interface CrossEncoderParts {
  /** [N, 1] relevance, without anything of places. */
  score: Tensor
  /** [N, 1], where there is such a head. */
  skip?: Tensor
  dwell?: Tensor
  /** Each loss by its name, before weights. */
  losses: Record<string, Tensor>
  /** [1], their weighted sum. */
  loss: Tensor
}

/**
 * Query and document in one BERT, [CLS] query [SEP] title [SEP] … with a token type a text. The first token's hidden state goes to a score a document
 * (`click_head`), and to what else people did: `skip_head` (sigmoid cross-entropy) and `dwell_head` (squared error of log(1 + seconds), of clicked
 * documents). Hidden tokens are predicted in the same step, by a projection tied to the word table. `propensities` holds a logit of looking by place,
 * which the losses of clicks use and ranking does not.
 *
 * @example
 * ```ts
 * import { CrossEncoder } from 'kernelgrad'
 *
 * const ranker = new CrossEncoder({
 *   features_config: { query: { dtype: 'token_id' }, title: { dtype: 'token_id' }, abstract: { dtype: 'token_id' } },
 *   pretrained_model_config: { vocab_size: 22000, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 128 },
 *   loss: 'two_tower',
 *   mlm: { probability: 0.3, columns: ['title', 'abstract'] },
 *   heads: { skip: {}, dwell: { weight: 0.1 } },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class CrossEncoder extends Model<CrossEncoderInputs> {
  static readonly architecture = 'CrossEncoder'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseCrossEncoder

  /** The configuration with every default. */
  readonly config: ResolvedCrossEncoderConfig
  readonly inputs: CrossEncoderInputs
  readonly bert: BertModel
  /** The head that predicts hidden tokens, where there is one; its projection is the word table. */
  declare readonly vocab_transform: Linear | undefined
  declare readonly vocab_layer_norm: LayerNorm | undefined
  declare readonly vocab_bias: DenseParameter | undefined
  /** To the score. */
  readonly click_head: Linear
  declare readonly skip_head: Linear | undefined
  declare readonly dwell_head: Linear | undefined
  /** Logits of looking by place, [places, 1], where the loss learns them. */
  declare readonly propensities: Embedding | undefined
  readonly #activation: Layer
  readonly #loss: RankingLoss

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: CrossEncoderConfig) {
    super()
    this.config = parseCrossEncoder(config, 'the model configuration')
    const { mlm, heads, pretrained_model_config: encoder } = this.config
    this.inputs = inputsOf(this.config)
    const shape = encoderShape(encoder)
    const init = encoderInit(shape.initializer_range)
    this.bert = new BertModel(encoder)
    this.#activation = encoderActivation(shape)
    if (mlm) {
      this.vocab_transform = new Linear(shape.dim, shape.dim, init)
      this.vocab_layer_norm = new LayerNorm(shape.dim, { eps: shape.eps })
      this.vocab_bias = new DenseParameter([shape.vocab_size], { kind: 'constant', value: 0 })
    }
    this.click_head = new Linear(shape.dim, 1, init)
    if (heads.skip) this.skip_head = new Linear(shape.dim, 1, init)
    if (heads.dwell) this.dwell_head = new Linear(shape.dim, 1, init)
    this.#loss = new RankingLoss('CrossEncoder', this.config)
    Object.assign(this, this.#loss.fields)
  }

  /** [N, 1], the score of each document. */
  override logits(batch: CrossEncoderBatch): Tensor {
    return this.click_head.forward(this.#first(this.#text(batch)).first)
  }

  /** [1], the sum of all losses, each with its weight. */
  loss(batch: CrossEncoderBatch): Tensor {
    return this.parts(batch).loss
  }

  /** [N, K]: the score, then what the other heads say; behind them, for an evaluation, the logit of a click where that is another. */
  scores(batch: CrossEncoderBatch): Tensor {
    const { first } = this.#first(this.#text(batch))
    const score = this.click_head.forward(first)
    const columns = [score]
    for (const head of [this.skip_head, this.dwell_head]) if (head) columns.push(head.forward(first))
    if (this.#loss.examines) columns.push(this.#loss.clickLogits(score, batch))
    return columns.length > 1 ? concatColumns(columns) : score
  }

  override checkTraining(where: string, rows: Columns): void {
    this.#loss.checkRows(where, rows)
  }

  scoreNames(): (string | null)[] {
    const heads = [...(this.skip_head ? ['skip_score'] : []), ...(this.dwell_head ? ['dwell_score'] : [])]
    return ['score', ...heads, ...(this.#loss.examines ? [null] : [])]
  }

  metrics({ also }: { also?: readonly string[] } = {}): ListEvaluation {
    return this.#loss.metrics(this.scoreNames().length, also)
  }

  /** What the table of places says: chances of a look beside the first place's. */
  override placesLookedAt(): Promise<number[] | undefined> {
    return this.#loss.placesLookedAt()
  }

  override encoders(): Record<string, Encoder> {
    return { bert: this.bert }
  }

  /**
   * Scores and losses of a batch to learn from: where tokens are hidden, clicks are learned of the text with its masks.
   * @throws ConfigError for a batch without what a loss reads
   */
  parts(batch: CrossEncoderBatch): CrossEncoderParts {
    const text = this.#text(batch)
    const { mlm, heads, label } = this.config
    const masked = mlm ? this.#need(batch.masked, 'masked', 'hidden tokens') : undefined
    const { hidden, first } = this.#first(masked ? { ...text, inputIds: masked.inputIds } : text)
    const losses: Record<string, Tensor> = {}
    if (masked) losses.mlm_loss = this.#mlmLoss(hidden, masked)
    const score = this.click_head.forward(first)
    Object.assign(losses, this.#loss.parts(score, batch))
    const parts: Pick<CrossEncoderParts, 'skip' | 'dwell'> = {}
    if (this.skip_head) {
      parts.skip = this.skip_head.forward(first)
      const skips = this.#need(batch.skip, 'skip', `the column '${heads.skip!.column}'`)
      losses.skip_loss = bceWithLogits(parts.skip, this.#beside(parts.skip, skips))
    }
    if (this.dwell_head) {
      parts.dwell = this.dwell_head.forward(first)
      const column = heads.dwell!.column
      const seconds = this.#need(batch.dwell?.[column], 'dwell', `the column '${column}'`)
      losses.dwell_loss = this.#dwellLoss(parts.dwell, seconds, batch.labels![label]!)
    }
    const weights = {
      mlm_loss: mlm?.weight ?? 1,
      skip_loss: heads.skip?.weight ?? 1,
      dwell_loss: heads.dwell?.weight ?? 1,
    }
    return { score, ...parts, losses, loss: totalLoss(losses, weights) }
  }

  /** Logits of every token of the vocabulary for the hidden tokens of a batch, [n, V]. */
  tokenLogits(batch: CrossEncoderBatch): Tensor {
    if (!this.config.mlm)
      throw new ConfigError('CrossEncoder.tokenLogits: the configuration has no mlm, expected one')
    const masked = this.#need(batch.masked, 'masked', 'hidden tokens')
    const { hidden } = this.#first({ ...this.#text(batch), inputIds: masked.inputIds })
    const x = this.#transform(takeRows(hidden, masked.positions))
    return tiedLinear(x, this.bert.embeddings.word_embeddings.weight, this.vocab_bias!)
  }

  /** Hidden states [T, H], and those of the first tokens [N, H]. */
  #first(text: PackedTokens): { hidden: Tensor; first: Tensor } {
    const { hidden, rows } = this.bert.forward(text)
    return { hidden, first: firstToken(hidden, rows) }
  }

  #text(batch: CrossEncoderBatch): PackedTokens {
    sizeOf('CrossEncoder', batch)
    const { texts } = checkRows(
      'CrossEncoder',
      { ...batch, labels: undefined },
      { texts: ['text'], classes: 2 },
    )
    return texts.text!
  }

  #mlmLoss(hidden: Tensor, { positions, labels }: NonNullable<CrossEncoderBatch['masked']>): Tensor {
    if (!labels.length) return scale(sum(this.vocab_bias!), 0)
    const x = this.#transform(takeRows(hidden, positions))
    const words = this.bert.embeddings.word_embeddings.weight
    return mean(tiedCrossEntropy(x, words, this.vocab_bias!, tensor(this.gpu, labels)).losses)
  }

  #transform(hidden: Tensor): Tensor {
    return this.vocab_layer_norm!.forward(activated(this.vocab_transform!, this.#activation, hidden))
  }

  /** Squared error of log(1 + seconds) over clicked documents, 0 where none is. */
  #dwellLoss(dwell: Tensor, seconds: ArrayLike<number>, clicks: ArrayLike<number>): Tensor {
    const clicked = Uint32Array.from(Array.from(clicks).flatMap((click, i) => (click > 0 ? [i] : [])))
    if (!clicked.length) return scale(sum(dwell), 0)
    const wanted = Float32Array.from(clicked, i => Math.log1p(seconds[i]!))
    return mean(square(sub(takeRows(dwell, clicked), tensor(this.gpu, wanted, [wanted.length, 1]))))
  }

  #beside(x: Tensor, values: ArrayLike<number>): Tensor {
    if (values.length !== x.size)
      throw new ConfigError(
        `CrossEncoder: the batch has ${values.length} skips, expected ${x.size}, one a document`,
      )
    return reshape(tensor(this.gpu, Float32Array.from(values)), x.shape)
  }

  #need<T>(value: T | undefined, input: string, what: string): T {
    if (value !== undefined && value !== null) return value
    throw new ConfigError(`CrossEncoder: the batch lacks ${what}, which it learns from as '${input}'`)
  }
}

function inputsOf(config: ResolvedCrossEncoderConfig): CrossEncoderInputs {
  const { mlm, heads, segments, mask_token_id, cls_token_id, sep_token_id } = config
  const forLoss = { trainOnly: true, lossOnly: true } as const
  const inputs: Partial<CrossEncoderInputs> = { text: crossEncoderText(config) }
  if (mlm)
    inputs.masked = {
      kind: 'masked',
      of: 'text',
      probability: mlm.probability,
      maskTokenId: mask_token_id,
      specialTokenIds: [cls_token_id, sep_token_id],
      alwaysMask: mlm.always_mask,
      segments: [...new Set(mlm.columns.map(name => segments[name]!))],
      ...forLoss,
    }
  Object.assign(inputs, rankingInputs(config))
  if (heads.skip) inputs.skip = { kind: 'classes', column: heads.skip.column, classes: 2, ...forLoss }
  if (heads.dwell) inputs.dwell = { kind: 'floats', columns: [heads.dwell.column], least: 0, ...forLoss }
  return inputs as CrossEncoderInputs
}
