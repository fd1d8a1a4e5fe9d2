// Rows of a segment two by two, one of which belongs above the other.
import { COUNT, expectNumber, expectOneOf, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import {
  type PairKind,
  segmentPairs as pairsKernel,
  segmentDiscounts as rankKernel,
  segmentPairsBackward,
} from '../../kernels/segment_pairs.ts'
import { expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { detach } from './pointwise.ts'
import { type Starts, startsOn } from './segments.ts'

export type { PairKind }

/** Rows of the longest segment, or of all where starts are on the device alone. */
function longestOf(x: Tensor, { known }: Tensor): number {
  if (!known) return x.size
  let longest = 0
  for (let b = 0; b + 1 < known.length; b++) longest = Math.max(longest, known[b + 1]! - known[b]!)
  return longest
}

function expectColumn(name: string, what: string, x: Tensor, N = x.shape[0]): void {
  expectTensor(name, what, x)
  const { shape } = x
  if ((shape.length === 1 || (shape.length === 2 && shape[1] === 1)) && shape[0] === N) return
  throw new ShapeError(
    `${name}: ${what} has shape [${shape.join(', ')}], expected [${N ?? 'N'}] or [${N ?? 'N'}, 1]`,
  )
}

const pairs = defineOp({
  name: 'segmentPairs',
  inputs: ['x', 'labels', 'values', 'starts'],
  dtypes: { x: ['f32'], labels: ['f32'], values: ['f32'], starts: ['u32'] },
  forward({ gpu, x, labels, values, starts, out }, options: { kind: PairKind }) {
    pairsKernel(gpu, { ...options, ...sizes(x, labels, values, starts), y: out.view })
  },
  backward({ gpu, x, labels, values, starts, dout, dx }, options) {
    segmentPairsBackward(gpu, {
      ...options,
      ...sizes(x, labels, values, starts),
      dy: dout.view,
      dx: dx.view,
    })
  },
})
const sizes = (x: Tensor, labels: Tensor, values: Tensor, starts: Tensor) => ({
  ...{ x: x.view, labels: labels.view, values: values.view, starts: starts.view },
  ...{ B: starts.size - 1, N: x.size, longest: longestOf(x, starts) },
})

/**
 * Of each row i, the sum over the rows j of its segment with labels[j] < labels[i] of w log(1 + exp(x[j] - x[i])): RankNet's pairs, by the
 * row that belongs above. x, labels and values are [N] or [N, 1], the result has x's shape; labels and values are constants of the gradient.
 * Memory does not grow with the pairs.
 * @param options.kind w: 1 ('count', default), values[j] ('weights'), or (labels[i] - labels[j]) |values[i] - values[j]| ('swaps')
 * @param options.values [N], unless kind is 'count'
 */
export function segmentPairs(
  x: Tensor,
  labels: Tensor,
  starts: Starts,
  options: { kind?: PairKind; values?: Tensor } = {},
): Tensor {
  const name = 'segmentPairs'
  expectOptions(`${name}: options`, options, ['kind', 'values'])
  const { kind = 'count', values } = options
  expectOneOf(`${name}: kind`, kind, ['count', 'weights', 'swaps'])
  expectColumn(name, 'x', x)
  expectColumn(name, 'labels', labels, x.size)
  if (kind !== 'count' || values !== undefined) expectColumn(name, 'values', values as Tensor, x.size)
  const [given, fixed] = [cast(x, 'f32'), detach(cast(labels, 'f32'))]
  const weights = values ? detach(cast(values, 'f32')) : fixed
  return pairs(given, fixed, weights, startsOn(name, x, starts), { kind })
}

const discounts = defineOp({
  name: 'segmentDiscounts',
  inputs: ['x', 'starts'],
  dtypes: { x: ['f32'], starts: ['u32'] },
  forward({ gpu, x, starts, out }, { k }: { k: number }) {
    const B = starts.size - 1
    const longest = longestOf(x, starts)
    rankKernel(gpu, { k, x: x.view, y: out.view, starts: starts.view, B, N: x.size, longest })
  },
})

/**
 * 1 / log2(1 + rank) of each row in its segment by x, [N] or [N, 1], the largest first; equal values keep their order, and what is behind
 * rank k has 0. A constant of the gradient.
 */
export function segmentDiscounts(x: Tensor, starts: Starts, k = 2 ** 32 - 1): Tensor {
  expectColumn('segmentDiscounts', 'x', x)
  expectNumber('segmentDiscounts: k', k, COUNT)
  return discounts(detach(cast(x, 'f32')), startsOn('segmentDiscounts', x, starts), { k })
}
