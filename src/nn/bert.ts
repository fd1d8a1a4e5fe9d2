// BERT's encoder (Devlin et al. 2019) under transformers' module names. Beside DistilBERT's it has token types, dropout before
// both residual sums, and a pooler that only holds its weights.
import type { PackedRows, Tensor } from '../autograd/index.ts'
import { type EncoderShape, encoderShape, type ResolvedBertConfig } from '../config/index.ts'
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

/** Self-attention inside each row, before the output projection. */
export class BertSelfAttention extends Module {
  readonly query: Linear
  readonly key: Linear
  readonly value: Linear
  readonly dropout: Dropout
  readonly #core: AttentionCore

  constructor(shape: EncoderShape) {
    super()
    const { dim, n_heads, attention_dropout, initializer_range } = shape
    const projection = () => new Linear(dim, dim, encoderInit(initializer_range))
    this.query = projection()
    this.key = projection()
    this.value = projection()
    this.dropout = new Dropout(attention_dropout)
    this.#core = new AttentionCore([this.query, this.key, this.value], n_heads)
  }

  forward(x: Tensor, rows: PackedRows): Tensor {
    return this.#core.forward(x, rows, this.dropout)
  }
}

/** Linear, dropout, sum with the residual, LayerNorm: `BertSelfOutput` and `BertOutput`. */
export class BertOutput extends Module {
  readonly dense: Linear
  readonly LayerNorm: LayerNorm
  readonly dropout: Dropout
  readonly #name: string

  constructor({ dim, dropout, eps, initializer_range }: EncoderShape, inFeatures: number, name: string) {
    super()
    this.dense = new Linear(inFeatures, dim, encoderInit(initializer_range))
    this.LayerNorm = new LayerNorm(dim, { eps })
    this.dropout = new Dropout(dropout)
    this.#name = name
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm.forward(this.dense.forward(x), { residual, dropout: this.dropout.draw() })
  }

  protected override reprName(): string {
    return this.#name
  }
}

/** Self-attention, its output projection, residual and LayerNorm. */
export class BertAttention extends Module {
  readonly self: BertSelfAttention
  readonly output: BertOutput

  constructor(shape: EncoderShape) {
    super()
    this.self = new BertSelfAttention(shape)
    this.output = new BertOutput(shape, shape.dim, 'BertSelfOutput')
  }

  forward(x: Tensor, rows: PackedRows): Tensor {
    return this.output.forward(this.self.forward(x, rows), x)
  }
}

/** The first half of the feed-forward part: Linear and activation. */
export class BertIntermediate extends Module implements Layer {
  readonly dense: Linear
  readonly intermediate_act_fn: Layer

  constructor(shape: EncoderShape) {
    super()
    this.dense = new Linear(shape.dim, shape.hidden_dim, encoderInit(shape.initializer_range))
    this.intermediate_act_fn = encoderActivation(shape)
  }

  forward(x: Tensor): Tensor {
    return activated(this.dense, this.intermediate_act_fn, x)
  }
}

/** One encoder layer. */
export class BertLayer extends Module {
  readonly attention: BertAttention
  readonly intermediate: BertIntermediate
  readonly output: BertOutput

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('BertLayer', shape)
    this.attention = new BertAttention(shape)
    this.intermediate = new BertIntermediate(shape)
    this.output = new BertOutput(shape, shape.hidden_dim, 'BertOutput')
  }

  /** [T, H] to [T, H]. */
  forward(x: Tensor, rows: PackedRows): Tensor {
    const attended = this.attention.forward(x, rows)
    return this.output.forward(this.intermediate.forward(attended), attended)
  }
}

/** The pooler's weights: they are loaded and saved with the model, and nothing here reads them. */
export class BertPooler extends Module {
  readonly dense: Linear

  constructor(shape: EncoderShape) {
    super()
    expectEncoderShape('BertPooler', shape)
    const { dim, initializer_range } = shape
    this.dense = new Linear(dim, dim, encoderInit(initializer_range))
  }
}

/** The encoder: `transformers.BertModel`. */
export class BertModel extends Module {
  /** The configuration with every default. */
  readonly config: ResolvedBertConfig
  readonly embeddings: Embeddings
  readonly encoder: LayerStack<BertLayer>
  readonly pooler?: BertPooler

  /** It has no memory until `to`. */
  constructor(config: ResolvedBertConfig) {
    super()
    expectEncoder(config, 'BertModel', 'bert')
    const shape = encoderShape(config)
    this.config = config
    this.embeddings = new Embeddings(shape)
    this.encoder = new LayerStack('BertEncoder', shape.n_layers, () => new BertLayer(shape))
    if (config.add_pooling_layer) this.pooler = new BertPooler(shape)
  }

  /** The layers, lowest first. */
  get layers(): readonly BertLayer[] {
    return [...this.encoder.layer]
  }

  /** Packed tokens to hidden states [T, H]. */
  forward(text: PackedTokens): EncoderOutput {
    const checked = checkText('BertModel', text)
    const rows = uploadRows(this.gpu, checked)
    return { hidden: this.encoder.forward(this.embeddings.forward(checked), rows), rows }
  }
}
