// DistilBERT's encoder (Sanh et al. 2019) under transformers' module names, over packed tokens.
import {
  attention,
  type DenseParameter,
  type Init,
  linear,
  type PackedRows,
  packParameters,
  type Tensor,
  tensor,
} from '../autograd/index.ts'
import type { ResolvedEncoderConfig } from '../config/index.ts'
import type { GroupedIds } from '../ids.ts'
import {
  Dropout,
  Embedding,
  GELUActivation,
  type Layer,
  LayerNorm,
  Linear,
  ModuleList,
  ReLU,
} from './layers.ts'
import { Module } from './module.ts'

/** The packed tokens of a batch, as collate makes them. */
export interface TextInput {
  inputIds: Uint32Array | GroupedIds
  positionIds: Uint32Array | GroupedIds
  keyMask: Uint32Array
  cuSeqlens: Uint32Array
  rowIds: Uint32Array
}

const EPS = 1e-12

/** Linear layers of the encoder start from N(0, initializer_range), their biases at 0. */
export const encoderInit = (std: number): { weight: Init; bias: Init } => ({
  weight: { kind: 'normal', std },
  bias: { kind: 'constant', value: 0 },
})

/** Word plus learned position embeddings, LayerNorm, dropout. */
export class Embeddings extends Module {
  readonly word_embeddings: Embedding
  readonly position_embeddings: Embedding
  readonly LayerNorm: LayerNorm
  readonly dropout: Dropout

  constructor(config: ResolvedEncoderConfig) {
    super()
    const init: Init = { kind: 'normal', std: config.initializer_range }
    this.word_embeddings = new Embedding(config.vocab_size, config.dim, {
      paddingIdx: config.pad_token_id,
      init,
    })
    this.position_embeddings = new Embedding(config.max_position_embeddings, config.dim, { init })
    this.LayerNorm = new LayerNorm(config.dim, { eps: EPS })
    this.dropout = new Dropout(config.dropout)
  }

  /** [T, H]. */
  forward({ inputIds, positionIds }: TextInput): Tensor {
    const position = { table: this.position_embeddings.weight, ids: positionIds }
    const sum = this.word_embeddings.forward(inputIds, position)
    return this.LayerNorm.forward(sum, { outputDropout: this.dropout.draw() })
  }
}

/** Self-attention inside each row. q, k and v lie side by side in memory: their projection is one matmul. */
export class MultiHeadSelfAttention extends Module {
  readonly dropout: Dropout
  readonly q_lin: Linear
  readonly k_lin: Linear
  readonly v_lin: Linear
  readonly out_lin: Linear
  readonly #heads: number
  readonly #weight: DenseParameter
  readonly #bias: DenseParameter

  constructor({ dim, n_heads, attention_dropout, initializer_range }: ResolvedEncoderConfig) {
    super()
    const projection = () => new Linear(dim, dim, encoderInit(initializer_range))
    this.dropout = new Dropout(attention_dropout)
    this.q_lin = projection()
    this.k_lin = projection()
    this.v_lin = projection()
    this.out_lin = projection()
    const parts = [this.q_lin, this.k_lin, this.v_lin]
    this.#weight = packParameters(parts.map(part => part.weight))
    this.#bias = packParameters(parts.map(part => part.bias))
    this.#heads = n_heads
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows): Tensor {
    const qkv = linear(x, this.#weight, this.#bias)
    const dropout = this.dropout.active ? { p: this.dropout.p, rng: this.dropout.next() } : {}
    return this.out_lin.forward(attention(qkv, rows, this.#heads, dropout))
  }
}

/** Feed-forward: Linear, activation, Linear, dropout. */
export class FFN extends Module implements Layer {
  readonly dropout: Dropout
  readonly lin1: Linear
  readonly lin2: Linear
  readonly activation: Layer

  constructor(config: ResolvedEncoderConfig) {
    super()
    const init = encoderInit(config.initializer_range)
    this.dropout = new Dropout(config.dropout)
    this.lin1 = new Linear(config.dim, config.hidden_dim, init)
    this.lin2 = new Linear(config.hidden_dim, config.dim, init)
    this.activation = config.activation === 'relu' ? new ReLU() : new GELUActivation()
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.project(x))
  }

  /** All but the dropout, which the LayerNorm that follows can do. */
  project(x: Tensor): Tensor {
    return this.lin2.forward(
      this.activation instanceof GELUActivation
        ? this.lin1.forward(x, { activation: 'gelu' })
        : this.activation.forward(this.lin1.forward(x)),
    )
  }
}

/** One encoder layer; each half ends in LayerNorm of its result plus its input. */
export class TransformerBlock extends Module {
  readonly attention: MultiHeadSelfAttention
  readonly sa_layer_norm: LayerNorm
  readonly ffn: FFN
  readonly output_layer_norm: LayerNorm

  constructor(config: ResolvedEncoderConfig) {
    super()
    this.attention = new MultiHeadSelfAttention(config)
    this.sa_layer_norm = new LayerNorm(config.dim, { eps: EPS })
    this.ffn = new FFN(config)
    this.output_layer_norm = new LayerNorm(config.dim, { eps: EPS })
  }

  forward(x: Tensor, rows: PackedRows): Tensor {
    const attended = this.sa_layer_norm.forward(this.attention.forward(x, rows), { residual: x })
    const projected = this.ffn.project(attended)
    return this.output_layer_norm.forward(projected, {
      residual: attended,
      dropout: this.ffn.dropout.draw(),
    })
  }
}

/** The stack of layers. */
export class Transformer extends Module {
  readonly layer: ModuleList<TransformerBlock>

  constructor(config: ResolvedEncoderConfig) {
    super()
    this.layer = new ModuleList(Array.from({ length: config.n_layers }, () => new TransformerBlock(config)))
  }

  forward(x: Tensor, rows: PackedRows): Tensor {
    let hidden = x
    for (const block of this.layer) hidden = block.forward(hidden, rows)
    return hidden
  }
}

/** The encoder: `transformers.DistilBertModel`. */
export class DistilBertModel extends Module {
  readonly config: ResolvedEncoderConfig
  readonly embeddings: Embeddings
  readonly transformer: Transformer

  constructor(config: ResolvedEncoderConfig) {
    super()
    this.config = config
    this.embeddings = new Embeddings(config)
    this.transformer = new Transformer(config)
  }

  /** Last hidden state [T, H] of packed tokens, and the device's copy of where the rows lie. */
  forward(text: TextInput): { hidden: Tensor; rows: PackedRows } {
    const upload = (data: Uint32Array) => tensor(this.gpu, data)
    const rows = {
      keyMask: upload(text.keyMask),
      cuSeqlens: upload(text.cuSeqlens),
      rowIds: upload(text.rowIds),
    }
    return { hidden: this.transformer.forward(this.embeddings.forward(text), rows), rows }
  }
}
