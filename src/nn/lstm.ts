import { expectLast, expectRank, expectTensor } from '../autograd/checks.ts'
import {
  concatColumns,
  DenseParameter,
  type Init,
  linear,
  lstm,
  mul,
  type Starts,
  type Tensor,
  takeRows,
  tensor,
} from '../autograd/index.ts'
import { knownStarts, startsOn } from '../autograd/ops/segments.ts'
import { COUNT, expectFlag, expectNumber, expectOptions, FINITE } from '../check.ts'
import { Module } from './module.ts'

/** What an {@link LSTM} is made of. */
export interface LSTMOptions {
  /** 1 unless given. */
  numLayers?: number
  /** Reads every text from its end too; false unless given. */
  bidirectional?: boolean
  /** The input's biases of the forget gates start from it, and all others from 0; left out: as PyTorch's. */
  forgetBias?: number
}

/** What an {@link LSTM} makes of T tokens in B texts; D is 2 with two directions, else 1. */
export interface LSTMOutput {
  /** [T, D hidden], the last layer's state behind each token, directions side by side. */
  output: Tensor
  /** [B, D hidden], the last layer's last state of each direction; zeros for an empty text. */
  last: Tensor
}

/**
 * `torch.nn.LSTM` over packed texts, each from a state of zeros: parameters have PyTorch's names and shapes, gates its order.
 *
 * @example
 * ```ts
 * import { nn, tensor } from 'kernelgrad'
 *
 * const lstm = new nn.LSTM(8, 5, { bidirectional: true }).to(gpu, { seed: 1 })
 * const words = tensor(gpu, new Float32Array(6 * 8).fill(0.5), [6, 8]) // two texts, of 4 words and of 2
 * const { last } = lstm.forward(words, Uint32Array.of(0, 4, 6)) // [2, 10]
 * ```
 */
export class LSTM extends Module {
  /** Numbers of a token. */
  readonly inputSize: number
  /** Numbers of a state. */
  readonly hiddenSize: number
  /** Layers, one on the other. */
  readonly numLayers: number
  /** Whether every layer has two directions. */
  readonly bidirectional: boolean

  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions = {}) {
    super()
    expectNumber('LSTM: inputSize', inputSize, COUNT)
    expectNumber('LSTM: hiddenSize', hiddenSize, COUNT)
    expectOptions('LSTM: options', options, ['numLayers', 'bidirectional', 'forgetBias'])
    const { numLayers = 1, bidirectional = false, forgetBias } = options
    expectNumber('LSTM: numLayers', numLayers, COUNT)
    expectFlag('LSTM: bidirectional', bidirectional)
    if (forgetBias !== undefined) expectNumber('LSTM: forgetBias', forgetBias, FINITE)
    this.inputSize = inputSize
    this.hiddenSize = hiddenSize
    this.numLayers = numLayers
    this.bidirectional = bidirectional
    const uniform: Init = { kind: 'uniform', bound: 1 / Math.sqrt(hiddenSize) }
    const given = forgetBias !== undefined
    const input: Init = given ? { kind: 'constants', values: [0, forgetBias, 0, 0] } : uniform
    const state: Init = given ? { kind: 'constant', value: 0 } : uniform
    const rows = 4 * hiddenSize
    for (const { name, layer } of this.#directions()) {
      const width = layer ? hiddenSize * (bidirectional ? 2 : 1) : inputSize
      Object.assign(this, {
        [`weight_ih_${name}`]: new DenseParameter([rows, width], uniform),
        [`weight_hh_${name}`]: new DenseParameter([rows, hiddenSize], uniform),
        [`bias_ih_${name}`]: new DenseParameter([rows], input),
        [`bias_hh_${name}`]: new DenseParameter([rows], state),
      })
    }
  }

  /** x [T, input]; text b is the tokens starts[b] to starts[b + 1] - 1. */
  forward(x: Tensor, starts: Starts): LSTMOutput {
    expectTensor('LSTM', 'input', x)
    expectRank('LSTM', 'input', x, '[T, input]', 2)
    expectLast('LSTM', 'input', x, this.inputSize, 'input_size')
    const begins = knownStarts('LSTM', starts)
    startsOn('LSTM', x, begins)
    const B = begins.length - 1
    if (!x.shape[0]) return this.#nothing(x, B)
    let [output, last] = [x, x]
    for (let layer = 0; layer < this.numLayers; layer++) {
      const states = this.#directions()
        .filter(one => one.layer === layer)
        .map(({ name, reverse }) => ({ reverse, states: this.#direction(output, begins, name, reverse) }))
      output = joined(states.map(({ states }) => states))
      if (layer + 1 === this.numLayers)
        last = joined(states.map(({ states, reverse }) => lastOf(states, begins, reverse)))
    }
    return { output, last }
  }

  #direction(x: Tensor, starts: Uint32Array, name: string, reverse: boolean): Tensor {
    const of = this as unknown as Record<string, DenseParameter>
    const gatesIn = linear(x, of[`weight_ih_${name}`]!, of[`bias_ih_${name}`]!)
    return lstm(gatesIn, of[`weight_hh_${name}`]!, of[`bias_hh_${name}`]!, starts, { reverse })
  }

  /** The directions of all layers, by the ends of their parameters' names. */
  #directions(): { name: string; layer: number; reverse: boolean }[] {
    return Array.from({ length: this.numLayers }, (_, layer) => [
      { name: `l${layer}`, layer, reverse: false },
      ...(this.bidirectional ? [{ name: `l${layer}_reverse`, layer, reverse: true }] : []),
    ]).flat()
  }

  /** Of texts without a token. */
  #nothing(x: Tensor, B: number): LSTMOutput {
    const width = this.hiddenSize * (this.bidirectional ? 2 : 1)
    const zeros = (rows: number) => tensor(x.gpu, new Float32Array(rows * width), [rows, width])
    return { output: zeros(0), last: zeros(B) }
  }

  protected override extraRepr(): string {
    const more = `${this.numLayers > 1 ? `, num_layers=${this.numLayers}` : ''}${this.bidirectional ? ', bidirectional=True' : ''}`
    return `${this.inputSize}, ${this.hiddenSize}${more}`
  }
}

const joined = (parts: Tensor[]): Tensor => (parts.length === 1 ? parts[0]! : concatColumns(parts))

/** The state behind the last token that is read of each text; zeros where there is none. */
function lastOf(states: Tensor, starts: Uint32Array, reverse: boolean): Tensor {
  const B = starts.length - 1
  const ends = Array.from({ length: B }, (_, b) => starts[b + 1]! > starts[b]!)
  const rows = ends.map((some, b) => (some ? (reverse ? starts[b]! : starts[b + 1]! - 1) : 0))
  const taken = takeRows(states, rows)
  if (!ends.includes(false)) return taken
  return mul(taken, tensor(states.gpu, Float32Array.from(ends, Number), [B, 1]))
}
