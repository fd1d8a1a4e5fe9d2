// Text and table into one vector, by the eight methods of Multimodal-Toolkit (Gu and Budhkar 2021), as its forward pass has them:
// what its constructor makes and the forward pass never reads (attention's biases, two LayerNorms) is left out.
import { expectRank, expectTensors } from '../autograd/checks.ts'
import {
  add,
  clamp,
  concatColumns,
  DenseParameter,
  type Init,
  leakyRelu,
  linear,
  matmul,
  mul,
  relu,
  rsqrt,
  slice,
  softmax,
  square,
  sum,
  type Tensor,
} from '../autograd/index.ts'
import { COUNT, expectFlag, expectNumber, expectOneOf, expectOptions, NATURAL, type Range } from '../check.ts'
import { checkFusionTable, FUSION_METHODS, type FusionMethod } from '../config/fusion-methods.ts'
import { ShapeError } from '../errors.ts'
import { Dropout, type Layer, Linear, ModuleList } from './layers.ts'
import { Module } from './module.ts'
import { BatchNorm1d } from './normalization.ts'

/** Below it, a square of a length counts as it: nothing is divided by zero, and a vector of zeros has no direction to learn. */
const TINY = 1e-24
const LEAK = 0.02
const DIVISION: Range = {
  says: 'a whole number of at least 2',
  takes: x => Number.isSafeInteger(x) && x >= 2,
}
const BETA: Range = { says: 'a finite number of at least 0', takes: x => x >= 0 && x < Infinity }

/** What a combiner joins, and how. */
export interface CombinerOptions {
  /** H, numbers of a text vector. */
  text: number
  /** C, numbers of a row's categorical part: its embeddings side by side. 0 unless given. */
  categorical?: number
  /** M, numerical values a row. 0 unless given. */
  numerical?: number
  /** Batch normalization in the hidden layers of the MLPs; true unless given. */
  batchNorm?: boolean | undefined
  /** By how much each hidden layer is narrower than the one before; 4 unless given. */
  mlpDivision?: number | undefined
  /** Dropout behind the hidden layers of the MLPs, on gates, and on what a weighted sum adds; 0.1 unless given. */
  dropout?: number | undefined
  /** Largest share of the text's length that gating shifts it by; 0.2 unless given. */
  gatingBeta?: number | undefined
}
const KNOWN = ['text', 'categorical', 'numerical', 'batchNorm', 'mlpDivision', 'dropout', 'gatingBeta']

type Mlp = { batchNorm: boolean; dropout: number }

/** Hidden sizes: divide until not above `least`, and leave the last one out. */
function shrinking(size: number, division: number, least: number): number[] {
  const sizes: number[] = []
  for (let at = size; at > least; at = Math.floor(at / division)) sizes.push(Math.floor(at / division))
  return sizes.slice(0, -1)
}

/** Linear, batch normalization, ReLU, dropout for each hidden size; a plain Linear last. */
export class ShrinkingMlp extends Module implements Layer {
  readonly layers: ModuleList<Linear>
  readonly bn: ModuleList<BatchNorm1d> | undefined
  readonly dropout: Dropout

  constructor(size: number, out: number, hidden: number[], { batchNorm, dropout }: Mlp) {
    super()
    const sizes = [size, ...hidden, out]
    // Glorot's, with ReLU's gain in front of a ReLU.
    const layer = (i: number) => {
      const [from, to] = [sizes[i]!, sizes[i + 1]!]
      const gain = i < hidden.length ? Math.SQRT2 : 1
      return new Linear(from, to, { weight: { kind: 'uniform', bound: gain * glorot(from, to) } })
    }
    this.layers = new ModuleList(Array.from({ length: sizes.length - 1 }, (_, i) => layer(i)))
    this.bn =
      batchNorm && hidden.length ? new ModuleList(hidden.map(width => new BatchNorm1d(width))) : undefined
    this.dropout = new Dropout(dropout)
  }

  forward(x: Tensor): Tensor {
    const layers = [...this.layers]
    const norms = [...(this.bn ?? [])]
    let y = x
    for (const [i, layer] of layers.entries()) {
      y = layer.forward(y)
      if (i < layers.length - 1) y = this.dropout.forward(relu(norms[i]?.forward(y) ?? y))
    }
    return y
  }
}

const glorot = (from: number, to: number): number => Math.sqrt(6 / (from + to))

/**
 * Joins a text vector x [B, H] with the categorical part c [B, C] and the numerical part n [B, M] of a table, by one of eight methods.
 * MLPs are Linear, batch normalization, ReLU, dropout per hidden layer and a plain Linear last; hidden sizes come of dividing by `mlpDivision`
 * (d, and h = d // 2 below) until the output size is reached.
 *
 * | method | what comes of it |
 * |---|---|
 * | `text_only` | x |
 * | `concat` | [x, c, n] |
 * | `mlp_on_categorical_then_concat` | [x, MLP(c), n], min(H, max(M, C // h)) wide |
 * | `mlp_on_concatenated_cat_and_numerical_feats_then_concat` | [x, MLP([c, n])], min(M, C, H) wide |
 * | `individual_mlps_on_cat_and_numerical_feats_then_concat` | [x, MLP(c), MLP(n)], max(C // h, M) and M // h wide |
 * | `attention_on_cat_and_numerical_feats` | sum of a_i W_i z_i over z = x, c, n; a = softmax of LeakyReLU(w . [W_x x, W_i z_i]), slope 0.02 |
 * | `gating_on_cat_and_num_feats_then_sum` | x + alpha h; h = g_c (W_c c) + g_n (W_n n) + b; g_i = ReLU(Linear([x, i])); alpha = min(beta \|x\| / \|h\|, 1) |
 * | `weighted_feature_sum_on_transformer_cat_and_numerical_feats` | x + w_c L(c) + w_n L(n), L a Linear |
 *
 * In the last three, a part wider than H goes through an MLP to H first (in the last, in place of L). Sizes of 0 become 1. A method does
 * without the part of the table that is not there, where its formula leaves something to do. Lengths have a floor, so that an empty text has
 * alpha 0 and no gradient is NaN.
 *
 * @example
 * ```ts
 * import { nn } from 'kernelgrad'
 *
 * const combiner = new nn.Combiner('gating_on_cat_and_num_feats_then_sum', { text: 64, categorical: 12, numerical: 3 })
 * const head = new nn.Linear(combiner.width, 2)
 * ```
 */
export class Combiner extends Module {
  /** How they are joined. */
  readonly method: FusionMethod
  /** Numbers of what comes of it. */
  readonly width: number
  readonly cat_mlp: Layer | undefined
  readonly num_mlp: Layer | undefined
  readonly cat_and_numerical_mlp: Layer | undefined
  readonly cat_layer: Layer | undefined
  readonly num_layer: Layer | undefined
  readonly g_cat_layer: Linear | undefined
  readonly g_num_layer: Linear | undefined
  readonly h_cat_layer: Linear<false> | undefined
  readonly h_num_layer: Linear<false> | undefined
  readonly h_bias: DenseParameter | undefined
  readonly weight_cat: DenseParameter | undefined
  readonly weight_num: DenseParameter | undefined
  readonly weight_transformer: DenseParameter | undefined
  readonly weight_a: DenseParameter | undefined
  readonly dropout: Dropout
  readonly #sizes: { text: number; categorical: number; numerical: number }
  readonly #beta: number

  /** @throws ConfigError for a method that needs a part of the table which is not there */
  constructor(method: FusionMethod, options: CombinerOptions) {
    super()
    expectOneOf('Combiner: method', method, FUSION_METHODS)
    expectOptions('Combiner: options', options, KNOWN)
    const { text: H, categorical: C = 0, numerical: M = 0 } = options
    const { batchNorm = true, mlpDivision: division = 4, dropout = 0.1, gatingBeta = 0.2 } = options
    expectNumber('Combiner: text', H, COUNT)
    expectNumber('Combiner: categorical', C, NATURAL)
    expectNumber('Combiner: numerical', M, NATURAL)
    expectFlag('Combiner: batchNorm', batchNorm)
    expectNumber('Combiner: mlpDivision', division, DIVISION)
    expectNumber('Combiner: gatingBeta', gatingBeta, BETA)
    checkFusionTable(method, C, M, 'Combiner')
    this.method = method
    this.#sizes = { text: H, categorical: C, numerical: M }
    this.#beta = gatingBeta
    this.dropout = new Dropout(dropout)
    const how = { batchNorm, dropout }
    const mlp = (size: number, out: number, hidden = shrinking(size, division, out)) =>
      new ShrinkingMlp(size, out, hidden, how)
    const half = Math.floor(division / 2)
    const matrix = (rows: number) => new DenseParameter([rows, H], uniform(glorot(rows, H)))
    this.width = H
    if (method === 'concat') this.width = H + C + M
    else if (method === 'mlp_on_categorical_then_concat') {
      const out = Math.max(1, Math.min(H, Math.max(M, Math.floor(C / half))))
      this.cat_mlp = mlp(C, out)
      this.width = H + out + M
    } else if (method === 'mlp_on_concatenated_cat_and_numerical_feats_then_concat') {
      const out = Math.min(M, C, H)
      this.cat_and_numerical_mlp = mlp(C + M, out)
      this.width = H + out
    } else if (method === 'individual_mlps_on_cat_and_numerical_feats_then_concat') {
      const outs = [
        C && Math.max(1, Math.floor(C / half), M),
        M && Math.max(1, Math.floor(M / half)),
      ] as const
      if (C) this.cat_mlp = mlp(C, outs[0])
      if (M) this.num_mlp = mlp(M, outs[1], [M])
      this.width = H + outs[0] + outs[1]
    } else if (method === 'attention_on_cat_and_numerical_feats') {
      if (C > H) this.cat_mlp = mlp(C, H)
      if (M > H) this.num_mlp = mlp(M, H)
      if (C) this.weight_cat = matrix(Math.min(C, H))
      if (M) this.weight_num = matrix(Math.min(M, H))
      this.weight_transformer = matrix(H)
      this.weight_a = new DenseParameter([1, 2 * H], uniform(glorot(1, 2 * H)))
    } else if (method === 'gating_on_cat_and_num_feats_then_sum') {
      // The toolkit takes the numerical width for the hidden sizes of the categorical MLP.
      if (C > H) this.cat_layer = mlp(C, H, shrinking(M, division, H))
      if (M > H) this.num_layer = mlp(M, H)
      if (C) this.g_cat_layer = new Linear(H + Math.min(C, H), H)
      if (C) this.h_cat_layer = new Linear(Math.min(C, H), H, { bias: false })
      if (M) this.g_num_layer = new Linear(H + Math.min(M, H), H)
      if (M) this.h_num_layer = new Linear(Math.min(M, H), H, { bias: false })
      this.h_bias = new DenseParameter([H], { kind: 'constant', value: 0 })
    } else if (method === 'weighted_feature_sum_on_transformer_cat_and_numerical_feats') {
      const to = (size: number) => (size > H ? mlp(size, H) : new Linear(size, H))
      const weights = () => new DenseParameter([H], { kind: 'uniform', low: 0, bound: 1 })
      if (C) this.cat_layer = to(C)
      if (C) this.weight_cat = weights()
      if (M) this.num_layer = to(M)
      if (M) this.weight_num = weights()
    }
  }

  /**
   * x [B, H] with c [B, C] and n [B, M], each left out where the combiner has none, to [B, width].
   * @throws ShapeError for another width, or other rows than the text has; a part that is missing, or too many
   */
  forward(text: Tensor, categorical?: Tensor, numerical?: Tensor): Tensor {
    this.#check({ text, categorical, numerical })
    const [x, c, n] = [text, categorical, numerical]
    switch (this.method) {
      case 'text_only':
        return x
      case 'attention_on_cat_and_numerical_feats':
        return this.#attend(x, c, n)
      case 'gating_on_cat_and_num_feats_then_sum':
        return this.#gate(x, c, n)
      case 'weighted_feature_sum_on_transformer_cat_and_numerical_feats': {
        const weighted = (part: Tensor | undefined, layer?: Layer, weight?: Tensor) =>
          part && layer && weight ? mul(weight, this.dropout.forward(layer.forward(part))) : undefined
        return total([
          x,
          weighted(c, this.cat_layer, this.weight_cat),
          weighted(n, this.num_layer, this.weight_num),
        ])
      }
      case 'mlp_on_concatenated_cat_and_numerical_feats_then_concat':
        return concatColumns([x, this.cat_and_numerical_mlp!.forward(concatColumns([c!, n!]))])
      default:
        return concatColumns([x, ...through(this.cat_mlp, c), ...through(this.num_mlp, n)])
    }
  }

  #attend(x: Tensor, c: Tensor | undefined, n: Tensor | undefined): Tensor {
    const mapped = [
      matmul(x, this.weight_transformer!),
      ...through(this.cat_mlp, c).map(part => matmul(part, this.weight_cat!)),
      ...through(this.num_mlp, n).map(part => matmul(part, this.weight_num!)),
    ]
    const fits = mapped.map(part => linear(concatColumns([mapped[0]!, part]), this.weight_a!))
    const share = softmax(leakyRelu(concatColumns(fits), LEAK))
    return total(mapped.map((part, i) => mul(part, slice(share, 1, { start: i, end: i + 1 }))))
  }

  #gate(x: Tensor, c: Tensor | undefined, n: Tensor | undefined): Tensor {
    const gated = (part: Tensor | undefined, layer?: Layer, gate?: Linear, map?: Linear<false>) => {
      if (!part || !gate || !map) return undefined
      const [z] = through(layer, part)
      return mul(this.dropout.forward(relu(gate.forward(concatColumns([x, z!])))), map.forward(z!))
    }
    const h = total([
      gated(c, this.cat_layer, this.g_cat_layer, this.h_cat_layer),
      gated(n, this.num_layer, this.g_num_layer, this.h_num_layer),
      this.h_bias,
    ])
    const length = (of: Tensor) => sum(square(of), -1, { keepdim: true })
    const inverse = (squares: Tensor) => rsqrt(clamp(squares, TINY))
    const xx = length(x)
    // |x| as its square over it: of a vector of zeros, it is zero and so is its gradient.
    const ratio = mul(mul(xx, inverse(xx)), inverse(length(h)))
    return add(x, mul(h, clamp(mul(ratio, this.#beta), 0, 1)))
  }

  #check(given: Record<'text' | 'categorical' | 'numerical', Tensor | undefined>): void {
    const parts: Record<string, Tensor> = {}
    for (const [name, width] of Object.entries(this.#sizes)) {
      const part = given[name as keyof typeof given]
      if (this.method === 'text_only' && name !== 'text') continue
      if (width || part !== undefined) parts[name] = part as Tensor
      if (!width && part !== undefined)
        throw new ShapeError(`Combiner: ${name} is given, and the combiner was made without`)
    }
    expectTensors('Combiner', parts)
    for (const [name, part] of Object.entries(parts)) {
      expectRank('Combiner', name, part, `[B, ${this.#sizes[name as keyof typeof given]}]`, 2, 2)
      const wanted = [parts.text!.shape[0]!, this.#sizes[name as keyof typeof given]]
      if (part.shape.join() !== wanted.join())
        throw new ShapeError(
          `Combiner: ${name} has shape [${part.shape.join(', ')}], expected [${wanted.join(', ')}]`,
        )
    }
  }

  protected override extraRepr(): string {
    return `method='${this.method}'`
  }
}

const uniform = (bound: number): Init => ({ kind: 'uniform', bound })

/** A part behind its layer, where it has one; nothing of a part that is not there. */
const through = (layer: Layer | undefined, part: Tensor | undefined): Tensor[] =>
  part ? [layer ? layer.forward(part) : part] : []

/** The sum of what is there. */
const total = (parts: (Tensor | undefined)[]): Tensor =>
  parts.filter(part => part !== undefined).reduce((sum, part) => add(sum, part))
