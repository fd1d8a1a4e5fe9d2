// Text and table into one vector, as nodes: what `Combiner` computes, method by method.

import type { DenseParameter } from '../autograd/index.ts'
import type { FusionConfig } from '../config/index.ts'
import { type Combiner, ShrinkingMlp } from '../nn/combiner.ts'
import type { Layer, Linear } from '../nn/index.ts'
import type { Graph, Value } from './graph.ts'
import { batchNorm, concat, layer, linear, relu, sum, total } from './layers.ts'

const LEAK = 0.02
const TINY = 1e-24

/** A text [B, H] with the parts of the table that there are, [B, width]. */
export function combine(
  g: Graph,
  combiner: Combiner,
  { gating_beta = 0 }: FusionConfig,
  parts: { text: Value; categorical: Value | undefined; numerical: Value | undefined },
): Value {
  const { text: x, categorical: c, numerical: n } = parts
  const { cat_mlp, num_mlp } = combiner
  switch (combiner.method) {
    case 'text_only':
      return x
    case 'attention_on_cat_and_numerical_feats':
      return attend(g, combiner, x, [
        ...through(g, cat_mlp, c).map(part => ({ part, weight: combiner.weight_cat! })),
        ...through(g, num_mlp, n).map(part => ({ part, weight: combiner.weight_num! })),
      ])
    case 'gating_on_cat_and_num_feats_then_sum':
      return gate(g, combiner, x, [c, n], gating_beta)
    case 'weighted_feature_sum_on_transformer_cat_and_numerical_feats': {
      const weighted = (part: Value | undefined, to?: Layer, weight?: DenseParameter) =>
        part && to && weight ? [g.node('Mul', [g.weight(weight), some(g, part, to)])] : []
      return total(g, [
        x,
        ...weighted(c, combiner.cat_layer, combiner.weight_cat),
        ...weighted(n, combiner.num_layer, combiner.weight_num),
      ])
    }
    case 'mlp_on_concatenated_cat_and_numerical_feats_then_concat':
      return concat(g, [x, some(g, concat(g, [c!, n!]), combiner.cat_and_numerical_mlp!)])
    default:
      return concat(g, [x, ...through(g, cat_mlp, c), ...through(g, num_mlp, n)])
  }
}

/** A part behind its layer: a Linear, or an MLP. */
function some(g: Graph, x: Value, to: Layer): Value {
  if (!(to instanceof ShrinkingMlp)) return layer(g, x, to)
  const layers = [...to.layers]
  const norms = [...(to.bn ?? [])]
  return layers.reduce((y, one, i) => {
    const z = linear(g, y, one)
    if (i === layers.length - 1) return z
    return relu(g, norms[i] ? batchNorm(g, z, norms[i]) : z)
  }, x)
}

const through = (g: Graph, to: Layer | undefined, part: Value | undefined): Value[] =>
  part === undefined ? [] : [to ? some(g, part, to) : part]

/** Both are [B, C] and weights [C, H]. */
function attend(
  g: Graph,
  { weight_transformer, weight_a }: Combiner,
  x: Value,
  table: { part: Value; weight: DenseParameter }[],
): Value {
  const mapped = [{ part: x, weight: weight_transformer! }, ...table].map(({ part, weight }) =>
    g.node('MatMul', [part, g.weight(weight)]),
  )
  const fits = mapped.map(part =>
    g.node('Gemm', [concat(g, [mapped[0]!, part]), g.weight(weight_a!)], { transB: 1 }),
  )
  const shares = g.node('Softmax', [g.node('LeakyRelu', [concat(g, fits)], { alpha: { float: LEAK } })], {
    axis: -1,
  })
  const shareOf = (i: number) => g.node('Gather', [shares, g.ints([i])], { axis: 1 })
  return total(
    g,
    mapped.map((part, i) => g.node('Mul', [part, shareOf(i)])),
  )
}

function gate(
  g: Graph,
  combiner: Combiner,
  x: Value,
  [c, n]: [Value | undefined, Value | undefined],
  beta: number,
): Value {
  const gated = (part: Value | undefined, to?: Layer, by?: Linear, map?: Linear<false>) => {
    if (part === undefined || !by || !map) return []
    const z = to ? some(g, part, to) : part
    return [g.node('Mul', [relu(g, linear(g, concat(g, [x, z]), by)), linear(g, z, map)])]
  }
  const h = total(g, [
    ...gated(c, combiner.cat_layer, combiner.g_cat_layer, combiner.h_cat_layer),
    ...gated(n, combiner.num_layer, combiner.g_num_layer, combiner.h_num_layer),
    g.weight(combiner.h_bias!),
  ])
  const squares = (of: Value) => sum(g, g.node('Mul', [of, of]), 1, true)
  const length = (square: Value) => g.node('Sqrt', [g.node('Max', [square, g.float(TINY)])])
  const xx = squares(x)
  const ratio = g.node('Div', [g.node('Div', [xx, length(xx)]), length(squares(h))])
  const alpha = g.node('Min', [g.node('Mul', [ratio, g.float(beta)]), g.float(1)])
  return g.node('Add', [x, g.node('Mul', [h, alpha])])
}
