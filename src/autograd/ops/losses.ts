// Losses beside the cross-entropy of a classifier (cross-entropy.ts), which the models take.
import { expectOptions } from '../../check.ts'
import { ConfigError, DataError } from '../../errors.ts'
import { logSoftmaxBackward, logSoftmax as logSoftmaxKernel } from '../../kernels/softmax.ts'
import { expectTensor, expectTensors } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { type Tensor, tensor } from '../tensor.ts'
import { reshape, scale } from './arithmetic.ts'
import { cast } from './cast.ts'
import { labelCrossEntropy } from './cross-entropy.ts'
import {
  add,
  bceOf,
  clamp,
  detach,
  div,
  isNotId,
  klLogOf,
  klOf,
  mul,
  neg,
  softplus,
  sqrt,
  square,
  sub,
  where,
} from './pointwise.ts'
import { sum } from './reductions.ts'
import { gather } from './selection.ts'
import { expectSame, expectShape, rowsAndColumns } from './shapes.ts'

const logSoftmaxRows = defineOp({
  name: 'logSoftmax',
  inputs: ['x'],
  dtypes: { x: ['f32'] },
  forward({ gpu, x, out }) {
    const [rows, C] = rowsAndColumns(x)
    logSoftmaxKernel(gpu, { x: x.view, y: out.view, rows, C })
  },
  backward({ gpu, out, dout, dx }) {
    const [rows, C] = rowsAndColumns(out)
    logSoftmaxBackward(gpu, { y: out.view, dy: dout.view, dx: dx.view, rows, C })
  },
})

/** The logarithm of the softmax over the last dimension, float32: `torch.nn.functional.log_softmax(x, -1)`. */
export const logSoftmax = (x: Tensor): Tensor => logSoftmaxRows(cast(x, 'f32'))

/** What a loss makes of the values of its rows or elements. */
export type Reduction = 'mean' | 'sum' | 'none'

/** Labels by number, checked where they are on the host, or a distribution over the classes. */
export type Targets = Tensor | Uint32Array | Int32Array

/** How rows and classes of a cross-entropy count. */
export interface CrossEntropyOptions {
  /** [C], how much each class counts. */
  weight?: Tensor
  /** [N], how much each row counts. */
  rowWeights?: Tensor
  /** Share of a target that is spread over all classes, 0 to 1. */
  labelSmoothing?: number
  /** A label whose rows count nothing. */
  ignoreIndex?: number
  /** 'mean', over the weights of the rows that count, unless given. 'none' gives [N]. */
  reduction?: Reduction
}

/**
 * Softmax cross-entropy: `torch.nn.functional.cross_entropy`. logits are [N, C]; targets are labels [N], or probabilities [N, C], which may
 * have a gradient. As PyTorch's, the mean of labelled rows is over their class weights, and that of distributions over the rows; row
 * weights count in both. A batch of which no row counts has the loss 0, where PyTorch has NaN. Labels on the device are not
 * checked: one that is no class gives NaN.
 *
 * @throws ArgumentError for targets that are neither tensor nor typed array; DataError naming the row of a label known on the host that
 * is no class and is not ignored
 */
export function crossEntropy(scores: Tensor, targets: Targets, options: CrossEntropyOptions = {}): Tensor {
  const gpu = expectTensors('crossEntropy', { logits: scores })
  expectOptions('crossEntropy: options', options, OPTIONS)
  const host = targets instanceof Uint32Array || targets instanceof Int32Array
  if (!host) expectTensor('crossEntropy', 'targets', targets, ['f32', 'f16', 'u32'])
  const soft = !host && targets.dtype !== 'u32'
  if (host) checkLabels(targets, scores, options.ignoreIndex)
  const labels = host ? tensor(gpu, Uint32Array.from(targets)) : targets
  if (!soft && Object.values(options).every(value => value === undefined))
    return labelCrossEntropy(scores, labels)
  if (!soft) checkLabels(labels.known, scores, options.ignoreIndex)
  const { weight, rowWeights, labelSmoothing = 0, ignoreIndex, reduction = 'mean' } = options
  const [N, C] = rowsAndColumns(scores)
  expectShape('crossEntropy: logits', scores, [N, C])
  expectShape('crossEntropy: targets', labels, soft ? [N, C] : [N])
  if (weight) expectShape('crossEntropy: weight', weight, [C])
  if (rowWeights) expectShape('crossEntropy: rowWeights', rowWeights, [N])
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new ConfigError(`crossEntropy: labelSmoothing is ${labelSmoothing}, expected 0 to 1`)
  if (soft && ignoreIndex !== undefined)
    throw new ConfigError('crossEntropy: ignoreIndex is for labels, and the targets are probabilities')
  const logs = logSoftmax(scores)
  const weighted = weight ? mul(logs, weight) : logs
  const spread = labelSmoothing > 0 ? scale(sum(weighted, 1), labelSmoothing / C) : undefined
  const smoothed = (own: Tensor) => neg(spread ? add(scale(own, 1 - labelSmoothing), spread) : own)
  if (soft) {
    const losses = smoothed(sum(mul(weighted, labels), 1))
    return reduced(rowWeights ? mul(losses, rowWeights) : losses, reduction, rowWeights && sum(rowWeights))
  }
  const column = reshape(labels, [N, 1])
  let losses = smoothed(reshape(gather(weighted, 1, column), [N]))
  let counts = weight ? gather(detach(weight), 0, labels) : undefined
  if (rowWeights) {
    losses = mul(losses, rowWeights)
    counts = counts ? mul(counts, detach(rowWeights)) : detach(rowWeights)
  }
  if (ignoreIndex !== undefined) {
    const kept = isNotId(labels, ignoreIndex >>> 0)
    losses = where(kept, losses, 0)
    counts = counts ? where(kept, counts, 0) : kept
  }
  return reduced(losses, reduction, counts && sum(counts))
}

const OPTIONS = ['weight', 'rowWeights', 'labelSmoothing', 'ignoreIndex', 'reduction']

function checkLabels(
  labels: ArrayLike<number> | undefined,
  scores: Tensor,
  ignoreIndex: number | undefined,
): void {
  const [, C] = rowsAndColumns(scores)
  // A negative number to ignore stands in a tensor as its two's complement.
  const ignored = (label: number) => ignoreIndex !== undefined && label >>> 0 === ignoreIndex >>> 0
  const wrong = Array.from(labels ?? []).findIndex(label => !(label >= 0 && label < C) && !ignored(label))
  if (wrong < 0) return
  const or = ignoreIndex === undefined ? '' : ` or ${ignoreIndex}`
  throw new DataError(`crossEntropy: label ${labels![wrong]} of row ${wrong}, expected 0 to ${C - 1}${or}`)
}

/** The mean is the sum over `total`, or over the number of values where none is given; 0 where the total is. */
function reduced(losses: Tensor, reduction: Reduction, total?: Tensor): Tensor {
  if (reduction === 'none') return losses
  const all = sum(losses)
  if (reduction === 'sum') return all
  if (reduction !== 'mean')
    throw new ConfigError(`a loss is reduced by 'mean', 'sum' or 'none', not by '${String(reduction)}'`)
  // Not where(total, div(all, total), 0): the quotient's gradient would be 0 / 0.
  return total ? div(all, where(total, total, 1)) : mul(all, 1 / losses.size)
}

/** How elements of a loss count. */
export interface LossOptions {
  /** Multiplies each element's loss; broadcast. */
  weight?: Tensor
  /** 'mean' over all elements unless given. */
  reduction?: Reduction
}

function weighed(losses: Tensor, { weight, reduction = 'mean' }: LossOptions): Tensor {
  return reduced(weight ? mul(losses, weight) : losses, reduction)
}

/**
 * Sigmoid cross-entropy of scores against targets between 0 and 1, of one shape: `binary_cross_entropy_with_logits`. posWeight multiplies
 * what positive targets contribute; broadcast.
 */
export function bceWithLogits(
  scores: Tensor,
  targets: Tensor,
  given: LossOptions & { posWeight?: Tensor } = {},
): Tensor {
  expectOptions('bceWithLogits: options', given, ['posWeight', 'weight', 'reduction'])
  const { posWeight, ...options } = given
  expectSame('bceWithLogits', scores, targets)
  if (!posWeight) return weighed(bceOf(scores, targets), options)
  const positive = add(mul(sub(posWeight, 1), targets), 1)
  const losses = add(mul(sub(1, targets), scores), mul(positive, softplus(neg(scores))))
  return weighed(losses, options)
}

/** Squared error, of tensors of one shape: `torch.nn.functional.mse_loss`. */
export function mse(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  expectOptions('mse: options', options, ['weight', 'reduction'])
  expectSame('mse', input, target)
  return weighed(square(sub(input, target)), options)
}

/** How a Kullback-Leibler divergence is taken together. */
export interface KlDivOptions {
  /** The target holds log-probabilities. */
  logTarget?: boolean
  /** 'batchmean', the sum over the number of rows, unless given: the divergence's own mean. */
  reduction?: Reduction | 'batchmean'
}

/**
 * The Kullback-Leibler divergence from log-probabilities to a target distribution: `torch.nn.functional.kl_div`, but for what is taken
 * when no reduction is named. PyTorch's own, 'mean', is over all elements, and smaller by the number of classes.
 */
export function klDiv(logProbabilities: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  expectOptions('klDiv: options', options, ['logTarget', 'reduction'])
  const { logTarget = false, reduction = 'batchmean' } = options
  expectSame('klDiv', logProbabilities, target)
  const losses = (logTarget ? klLogOf : klOf)(logProbabilities, target)
  if (reduction !== 'batchmean') return reduced(losses, reduction)
  return mul(sum(losses), 1 / (logProbabilities.shape[0] ?? 1))
}

/**
 * max(0, -y (first - second) + margin) with y 1 where the first is to be larger and -1 where the second: `margin_ranking_loss`.
 */
export function marginRanking(
  first: Tensor,
  second: Tensor,
  y: Tensor,
  given: LossOptions & { margin?: number } = {},
): Tensor {
  expectOptions('marginRanking: options', given, ['margin', 'weight', 'reduction'])
  const { margin = 0, ...options } = given
  expectSame('marginRanking', first, second)
  expectSame('marginRanking', first, y)
  return weighed(clamp(add(mul(neg(y), sub(first, second)), margin), 0), options)
}

/** x over its length along a dimension, which counts as `eps` where it is shorter: `torch.nn.functional.normalize`. */
export function normalize(x: Tensor, axis = -1, eps = 1e-12): Tensor {
  return div(x, lengths(x, axis, eps, true))
}

/** The square root of the sum of squares, at least eps; its gradient is that of the root only where it is longer. */
function lengths(x: Tensor, axis: number, eps: number, keepdim: boolean): Tensor {
  return sqrt(clamp(sum(square(x), axis, { keepdim }), eps * eps))
}

/** The cosine of the angle between vectors along a dimension: `torch.nn.functional.cosine_similarity`. Lengths count as at least eps. */
export function cosineSimilarity(a: Tensor, b: Tensor, axis = -1, eps = 1e-8): Tensor {
  const products = sum(mul(a, b), axis)
  return div(products, mul(lengths(a, axis, eps, false), lengths(b, axis, eps, false)))
}
