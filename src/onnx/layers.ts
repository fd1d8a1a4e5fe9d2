// The layers of nn as nodes, in evaluation mode: dropout is nothing, batch normalization takes the running statistics.
import { ConfigError } from '../errors.ts'
import {
  BatchNorm1d,
  Dropout,
  type Embedding,
  GELU,
  LayerNorm,
  Linear,
  type Module,
  ReLU,
  Sequential,
} from '../nn/index.ts'
import type { Graph, Value } from './graph.ts'

/** [n, in] to [n, out]; the weight is written as it is, [out, in]. */
export const linear = (g: Graph, x: Value, { weight, bias }: Linear<boolean>): Value =>
  g.node('Gemm', [x, g.weight(weight), ...(bias ? [g.weight(bias)] : [])], { transB: 1 })

/** Over the last dimension. */
export const layerNorm = (g: Graph, x: Value, { weight, bias, eps }: LayerNorm): Value =>
  g.node('LayerNormalization', [x, g.weight(weight), g.weight(bias)], { axis: -1, epsilon: { float: eps } })

/** x Φ(x), with the error function. */
function gelu(g: Graph, x: Value): Value {
  const erf = g.node('Erf', [g.node('Mul', [x, g.float(Math.SQRT1_2)])])
  return g.node('Mul', [g.node('Mul', [x, g.float(0.5)]), g.node('Add', [erf, g.float(1)])])
}

export const relu = (g: Graph, x: Value): Value => g.node('Relu', [x])

/** [n, C]. */
export function batchNorm(g: Graph, x: Value, layer: BatchNorm1d): Value {
  const { weight, bias, running_mean, running_var, eps } = layer
  if (!weight || !bias) throw new ConfigError('a BatchNorm1d without weight and bias has no node in ONNX')
  const inputs = [x, ...[weight, bias, running_mean, running_var].map(one => g.weight(one))]
  return g.node('BatchNormalization', inputs, { epsilon: { float: eps } })
}

/**
 * Rows of a table by ids [n] or [b, s]. ONNX counts ids below zero from the table's end; here they name a row that is not there, as any
 * other wrong id does.
 */
export function lookup(g: Graph, { weight }: Embedding, ids: Value): Value {
  const negative = g.node('Less', [ids, g.int(0)])
  return g.node('Gather', [g.weight(weight), g.node('Where', [negative, g.int(weight.shape[0]!), ids])])
}

/** Any layer of one tensor [n, C]. @throws ConfigError naming one that has no nodes here */
export function layer(g: Graph, x: Value, module: Module): Value {
  if (module instanceof Linear) return linear(g, x, module)
  if (module instanceof LayerNorm) return layerNorm(g, x, module)
  if (module instanceof BatchNorm1d) return batchNorm(g, x, module)
  if (module instanceof GELU) return gelu(g, x)
  if (module instanceof ReLU) return relu(g, x)
  if (module instanceof Dropout) return x
  if (module instanceof Sequential)
    return [...module.namedChildren()].reduce((y, [, child]) => layer(g, y, child), x)
  throw new ConfigError(`a layer ${module.constructor.name} has no nodes in ONNX here`)
}

/** Columns side by side, [n, …]. */
export const concat = (g: Graph, parts: readonly Value[]): Value =>
  parts.length === 1 ? parts[0]! : g.node('Concat', parts, { axis: 1 })

/** Sum of what is there. */
export const total = (g: Graph, parts: readonly Value[]): Value =>
  parts.reduce((sum, part) => g.node('Add', [sum, part]))

/** Sum over an axis. */
export const sum = (g: Graph, x: Value, axis: number, keepdims = false): Value =>
  g.node('ReduceSum', [x, g.ints([axis])], { keepdims: Number(keepdims) })

/** A size of a tensor, [1]. */
export const sizeAt = (g: Graph, x: Value, axis: number): Value =>
  g.node('Shape', [x], { start: axis, end: axis + 1 })
