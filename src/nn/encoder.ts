// What the encoders share, over packed tokens: embeddings, and self-attention with one matmul for q, k and v.
import {
  addSame,
  attention,
  type DenseParameter,
  type Init,
  linear,
  type PackedRows,
  packParameters,
  type Tensor,
} from '../autograd/index.ts'
import {
  BELOW_ONE,
  COUNT,
  expectFunction,
  expectNumber,
  expectOneOf,
  NATURAL,
  NON_NEGATIVE,
  POSITIVE,
  shown,
} from '../check.ts'
import {
  type EncoderShape,
  encoderShape,
  parseEncoderConfig,
  type ResolvedEncoderConfig,
} from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { PackedTokens } from '../inputs.ts'
import { checkText } from './check-text.ts'
import {
  Dropout,
  Embedding,
  GELUActivation,
  type Layer,
  LayerNorm,
  type Linear,
  ModuleList,
  ReLU,
} from './layers.ts'
import { Module } from './module.ts'

/** What an encoder makes of a batch: the last hidden state [T, H], and the device's copy of where the rows lie. */
export interface EncoderOutput {
  /** [T, H]. */
  hidden: Tensor
  /** Where the rows lie, for pooling. */
  rows: PackedRows
}

/** @throws ConfigError naming the size or rate that is wrong, or heads that do not divide the hidden size */
export function expectEncoderShape(where: string, shape: unknown): asserts shape is EncoderShape {
  if (typeof shape !== 'object' || shape === null)
    throw new ConfigError(`${where}: shape is ${shown(shape)}, expected what encoderShape() gives`)
  const given = shape as EncoderShape
  for (const name of [
    'vocab_size',
    'max_position_embeddings',
    'dim',
    'n_heads',
    'n_layers',
    'hidden_dim',
  ] as const)
    expectNumber(`${where}: ${name}`, given[name], COUNT)
  for (const name of ['pad_token_id', 'type_vocab_size'] as const)
    expectNumber(`${where}: ${name}`, given[name], NATURAL)
  for (const name of ['dropout', 'attention_dropout'] as const)
    expectNumber(`${where}: ${name}`, given[name], BELOW_ONE)
  expectNumber(`${where}: initializer_range`, given.initializer_range, NON_NEGATIVE)
  expectNumber(`${where}: eps`, given.eps, POSITIVE)
  expectOneOf(`${where}: activation`, given.activation, ['gelu', 'relu'])
  if (given.dim % given.n_heads)
    throw new ConfigError(`${where}: dim ${given.dim} is not divisible by n_heads ${given.n_heads}`)
}

/** @throws ConfigError unless a configuration is whole, and of this kind of encoder */
export function expectEncoder(config: unknown, where: string, kind: 'distilbert' | 'bert'): void {
  const { model_type = 'distilbert' } = parseEncoderConfig(config, where)
  if (model_type !== kind)
    throw new ConfigError(`${where}: model_type is '${model_type}', expected '${kind}'`)
  for (const [name, value] of Object.entries(encoderShape(config as ResolvedEncoderConfig)))
    if (value === undefined)
      throw new ConfigError(`${where}: ${name} is missing; parseEncoderConfig() fills the defaults in`)
}

/** Linear layers of the encoder start from N(0, initializer_range), their biases at 0. @internal */
export const encoderInit = (std: number): { weight: Init; bias: Init } => ({
  weight: { kind: 'normal', std },
  bias: { kind: 'constant', value: 0 },
})

/** Word plus learned position embeddings, plus those of the token types where there are types; LayerNorm, dropout. */
export class Embeddings extends Module {
  readonly word_embeddings: Embedding
  readonly position_embeddings: Embedding
  readonly token_type_embeddings?: Embedding
  readonly LayerNorm: LayerNorm
  readonly dropout: Dropout

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('Embeddings', shape)
    const init: Init = { kind: 'normal', std: shape.initializer_range }
    this.word_embeddings = new Embedding(shape.vocab_size, shape.dim, {
      paddingIdx: shape.pad_token_id,
      init,
    })
    this.position_embeddings = new Embedding(shape.max_position_embeddings, shape.dim, { init })
    if (shape.type_vocab_size)
      this.token_type_embeddings = new Embedding(shape.type_vocab_size, shape.dim, { init })
    this.LayerNorm = new LayerNorm(shape.dim, { eps: shape.eps })
    this.dropout = new Dropout(shape.dropout)
  }

  /** [T, H]. */
  forward(text: PackedTokens): Tensor {
    const { inputIds, positionIds, keyMask, typeIds } = checkText(this.reprName(), text)
    const position = { table: this.position_embeddings.weight, ids: positionIds }
    const words = this.word_embeddings.forward(inputIds, position)
    if (typeIds && !this.token_type_embeddings && typeIds.some(type => type > 0))
      throw new ConfigError(
        `${this.reprName()}: the text has token types above 0, and the encoder no table of them; expected BERT with type_vocab_size`,
      )
    // A text that says nothing of types is of one.
    const types = this.token_type_embeddings?.forward(typeIds ?? new Uint32Array(keyMask.length))
    return this.LayerNorm.forward(types ? addSame(words, types) : words, {
      outputDropout: this.dropout.draw(),
    })
  }

  protected override reprName(): string {
    return this.token_type_embeddings ? 'BertEmbeddings' : 'Embeddings'
  }
}

/** A layer that keeps [T, H], over packed rows. */
type EncoderLayer = Module & { forward(x: Tensor, rows: PackedRows): Tensor }

/** An encoder's layers, one after the other: transformers' `Transformer` or `BertEncoder`. */
export class LayerStack<L extends EncoderLayer> extends Module {
  readonly layer: ModuleList<L>
  readonly #name: string

  constructor(name: string, layers: number, make: () => L) {
    super()
    expectNumber('LayerStack: layers', layers, COUNT)
    expectFunction('LayerStack: make', make)
    this.layer = new ModuleList(Array.from({ length: layers }, make))
    this.#name = name
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows): Tensor {
    let hidden = x
    for (const layer of this.layer) hidden = layer.forward(hidden, rows)
    return hidden
  }

  protected override reprName(): string {
    return this.#name
  }
}

/** Self-attention inside each row, before the output projection. q, k and v lie side by side: their projection is one matmul. */
export class AttentionCore {
  readonly #weight: DenseParameter
  readonly #bias: DenseParameter
  readonly #heads: number

  constructor(projections: [q: Linear, k: Linear, v: Linear], heads: number) {
    this.#weight = packParameters(projections.map(({ weight }) => weight))
    this.#bias = packParameters(projections.map(({ bias }) => bias))
    this.#heads = heads
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows, dropout: Dropout): Tensor {
    const qkv = linear(x, this.#weight, this.#bias)
    return attention(qkv, rows, this.#heads, dropout.draw())
  }
}

export const encoderActivation = ({ activation }: EncoderShape): Layer =>
  activation === 'relu' ? new ReLU() : new GELUActivation()

/** activation(lin(x)), in one launch where it can be. */
export function activated(lin: Linear, activation: Layer, x: Tensor): Tensor {
  return activation instanceof GELUActivation
    ? lin.forward(x, { activation: 'gelu' })
    : activation.forward(lin.forward(x))
}
