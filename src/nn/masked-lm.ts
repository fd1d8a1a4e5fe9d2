// Masked language modelling: what DistilBERT is pretrained with.
import {
  DenseParameter,
  labelCrossEntropy,
  type Tensor,
  takeRows,
  tensor,
  tiedLinear,
} from '../autograd/index.ts'
import { shown } from '../check.ts'
import { type DistilBertConfig, encoderShape, isBert, parseEncoderConfig } from '../config/index.ts'
import { ArgumentError, ConfigError, DataError, ShapeError } from '../errors.ts'
import type { PackedTokens } from '../inputs.ts'
import { checkText } from './check-text.ts'
import { DistilBertModel } from './distilbert.ts'
import { activated, encoderActivation, encoderInit } from './encoder.ts'
import { type Embedding, type Layer, LayerNorm, Linear } from './layers.ts'
import { Module } from './module.ts'

/** In `labels`: a position that does not count. */
export const IGNORE_INDEX = -100

/** Packed tokens, and the token to predict at each, [T], IGNORE_INDEX where none is. */
export interface MaskedInput extends PackedTokens {
  /** [T], `IGNORE_INDEX` where there is none. */
  labels?: Int32Array
}

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

  protected override reprName(): string {
    return 'Linear'
  }
}

function labelsOf({ labels }: MaskedInput): Int32Array {
  if (labels instanceof Int32Array) return labels
  throw new ArgumentError(`DistilBertForMaskedLM: labels is ${shown(labels)}, expected an Int32Array`)
}

/** `transformers.DistilBertForMaskedLM`. The word table must fit into one binding. */
export class DistilBertForMaskedLM extends Module {
  readonly activation: Layer
  readonly distilbert: DistilBertModel
  readonly vocab_transform: Linear
  readonly vocab_layer_norm: LayerNorm
  readonly vocab_projector: TiedProjection

  constructor(config: DistilBertConfig) {
    super()
    const resolved = parseEncoderConfig(config, 'the model configuration')
    if (isBert(resolved)) throw new ConfigError('DistilBertForMaskedLM takes a DistilBERT encoder')
    const shape = encoderShape(resolved)
    this.activation = encoderActivation(shape)
    this.distilbert = new DistilBertModel(resolved)
    this.vocab_transform = new Linear(shape.dim, shape.dim, encoderInit(shape.initializer_range))
    this.vocab_layer_norm = new LayerNorm(shape.dim, { eps: shape.eps })
    this.vocab_projector = new TiedProjection(this.distilbert.embeddings.word_embeddings)
  }

  /** The mean cross-entropy over the positions that have a label; only those are projected onto the vocabulary. */
  loss(text: MaskedInput & { labels: Int32Array }): Tensor {
    const labels = labelsOf(checkText('DistilBertForMaskedLM', text))
    if (labels.length !== text.keyMask.length)
      throw new ShapeError(`DistilBertForMaskedLM: ${labels.length} labels for ${text.keyMask.length} tokens`)
    const V = this.vocab_projector.bias.size
    const rows = Uint32Array.from(labels.keys()).filter(t => labels[t] !== IGNORE_INDEX)
    if (!rows.length) throw new ShapeError('DistilBertForMaskedLM: no token of the batch has a label')
    const wrong = rows.find(t => !(labels[t]! >= 0 && labels[t]! < V))
    if (wrong !== undefined)
      throw new DataError(
        `DistilBertForMaskedLM: label ${labels[wrong]} of token ${wrong}, expected 0 to ${V - 1} or ${IGNORE_INDEX}`,
      )
    const { hidden } = this.distilbert.forward(text)
    const wanted = tensor(
      this.gpu,
      Uint32Array.from(rows, t => labels[t]!),
    )
    return labelCrossEntropy(this.#project(takeRows(hidden, rows)), wanted)
  }

  /** Scores of every token of the vocabulary at every position, [T, V]. */
  logits(text: PackedTokens): Tensor {
    return this.#project(this.distilbert.forward(text).hidden)
  }

  #project(hidden: Tensor): Tensor {
    const transformed = activated(this.vocab_transform, this.activation, hidden)
    return this.vocab_projector.forward(this.vocab_layer_norm.forward(transformed))
  }
}
