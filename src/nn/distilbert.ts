// DistilBERT's encoder (Sanh et al. 2019) under transformers' module names.
import type { PackedRows, Tensor } from '../autograd/index.ts'
import { type EncoderShape, encoderShape, type ResolvedDistilBertConfig } from '../config/index.ts'
import type { PackedTokens } from '../inputs.ts'
import { checkText, uploadRows } from './check-text.ts'
import {
  AttentionCore,
  activated,
  Embeddings,
  type EncoderOutput,
  encoderActivation,
  encoderInit,
  expectEncoder,
  expectEncoderShape,
  LayerStack,
} from './encoder.ts'
import { Dropout, type Layer, LayerNorm, Linear } from './layers.ts'
import { Module } from './module.ts'

/** Self-attention inside each row. */
export class MultiHeadSelfAttention extends Module {
  readonly dropout: Dropout
  readonly q_lin: Linear
  readonly k_lin: Linear
  readonly v_lin: Linear
  readonly out_lin: Linear
  readonly #core: AttentionCore

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('MultiHeadSelfAttention', shape)
    const { dim, n_heads, attention_dropout, initializer_range } = shape
    const projection = () => new Linear(dim, dim, encoderInit(initializer_range))
    this.dropout = new Dropout(attention_dropout)
    this.q_lin = projection()
    this.k_lin = projection()
    this.v_lin = projection()
    this.out_lin = projection()
    this.#core = new AttentionCore([this.q_lin, this.k_lin, this.v_lin], n_heads)
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows): Tensor {
    return this.out_lin.forward(this.#core.forward(x, rows, this.dropout))
  }
}

/** Feed-forward: Linear, activation, Linear, dropout. */
export class FFN extends Module implements Layer {
  readonly dropout: Dropout
  readonly lin1: Linear
  readonly lin2: Linear
  readonly activation: Layer

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('FFN', shape)
    const init = encoderInit(shape.initializer_range)
    this.dropout = new Dropout(shape.dropout)
    this.lin1 = new Linear(shape.dim, shape.hidden_dim, init)
    this.lin2 = new Linear(shape.hidden_dim, shape.dim, init)
    this.activation = encoderActivation(shape)
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.project(x))
  }

  /** All but the dropout, which the LayerNorm that follows can do. */
  project(x: Tensor): Tensor {
    return this.lin2.forward(activated(this.lin1, this.activation, x))
  }
}

/** One encoder layer; each half ends in LayerNorm of its result plus its input. */
export class TransformerBlock extends Module {
  readonly attention: MultiHeadSelfAttention
  readonly sa_layer_norm: LayerNorm
  readonly ffn: FFN
  readonly output_layer_norm: LayerNorm

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('TransformerBlock', shape)
    this.attention = new MultiHeadSelfAttention(shape)
    this.sa_layer_norm = new LayerNorm(shape.dim, { eps: shape.eps })
    this.ffn = new FFN(shape)
    this.output_layer_norm = new LayerNorm(shape.dim, { eps: shape.eps })
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows): Tensor {
    const attended = this.sa_layer_norm.forward(this.attention.forward(x, rows), { residual: x })
    const projected = this.ffn.project(attended)
    return this.output_layer_norm.forward(projected, {
      residual: attended,
      dropout: this.ffn.dropout.draw(),
    })
  }
}

/** The encoder: `transformers.DistilBertModel`. */
export class DistilBertModel extends Module {
  /** The configuration with every default. */
  readonly config: ResolvedDistilBertConfig
  /** Word and position embeddings. */
  readonly embeddings: Embeddings
  /** The layers. */
  readonly transformer: LayerStack<TransformerBlock>

  /** It has no memory until `to`. */
  constructor(config: ResolvedDistilBertConfig) {
    super()
    expectEncoder(config, 'DistilBertModel', 'distilbert')
    const shape = encoderShape(config)
    this.config = config
    this.embeddings = new Embeddings(shape)
    this.transformer = new LayerStack('Transformer', shape.n_layers, () => new TransformerBlock(shape))
  }

  /** The layers, lowest first. */
  get layers(): readonly TransformerBlock[] {
    return [...this.transformer.layer]
  }

  /** Packed tokens to hidden states [T, H]. */
  forward(text: PackedTokens): EncoderOutput {
    const checked = checkText('DistilBertModel', text)
    const rows = uploadRows(this.gpu, checked)
    return { hidden: this.transformer.forward(this.embeddings.forward(checked), rows), rows }
  }
}
