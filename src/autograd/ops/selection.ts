// Values by number along a dimension, and the numbers of the largest.
import { expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { gatherBackward, gather as gatherKernel } from '../../kernels/gather.ts'
import { numel } from '../../kernels/strides.ts'
import { topK as topKKernel } from '../../kernels/topk.ts'
import { expectTensor, IDS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Shape, Tensor } from '../tensor.ts'
import { reshape } from './arithmetic.ts'
import { axisOf, withoutAxes } from './axes.ts'
import { cast } from './cast.ts'

/** A shape around one of its dimensions, R. */
function around(shape: Shape, axis: number): { O: number; R: number; I: number } {
  return { O: numel(shape.slice(0, axis)), R: shape[axis]!, I: numel(shape.slice(axis + 1)) }
}

const gatherOp = defineOp({
  name: 'gather',
  inputs: ['x', 'indices'],
  dtypes: { x: ['f32'], indices: ['u32'] },
  shape: ({ indices }) => indices.shape,
  forward({ gpu, x, indices, out }, axis: number) {
    const K = indices.shape[axis]!
    gatherKernel(gpu, { x: x.view, indices: indices.view, y: out.view, ...around(x.shape, axis), K })
  },
  backward({ gpu, x, indices, dout, dx }, axis) {
    const K = indices.shape[axis]!
    gatherBackward(gpu, { dy: dout.view, indices: indices.view, dx: dx.view, ...around(x.shape, axis), K })
  },
})

/**
 * Values along a dimension by number: `torch.gather`. indices, uint32, have x's shape but along `axis`; the result, float32, has theirs.
 * A value taken twice gets both gradients, in order. Indices are on the device and not checked: one that x does not have gives
 * NaN, and no gradient.
 */
export function gather(input: Tensor, axis: number, indices: Tensor): Tensor {
  const x = cast(input, 'f32')
  expectTensor('gather', 'indices', indices, IDS)
  const at = axisOf('gather', x.shape, axis)
  if (
    x.shape.length !== indices.shape.length ||
    x.shape.some((size, d) => d !== at && size !== indices.shape[d])
  )
    throw new ShapeError(
      `gather: x [${x.shape.join(', ')}] and indices [${indices.shape.join(', ')}] differ in more than dimension ${at}`,
    )
  return gatherOp(x, indices, at)
}

const topIndices = defineOp({
  name: 'topK',
  inputs: ['x'],
  dtypes: { x: ['f32'] },
  shape: ({ x }, { axis, k }: { axis: number; k: number }) => ({
    shape: x.shape.with(axis, k),
    dtype: 'u32',
  }),
  forward: ({ gpu, x, out }, { axis, k }) =>
    topKKernel(gpu, { x: x.view, indices: out.view, ...around(x.shape, axis), k }),
})

/** The largest values of a dimension, and where they are. */
export interface TopK {
  /** float32, the largest first. Their gradient goes to where they come from. */
  values: Tensor
  /** uint32. */
  indices: Tensor
}

/**
 * The k largest values along a dimension, the last unless given: `torch.topk`. Of equal values the first comes first; NaN counts as the
 * largest.
 *
 * @throws ShapeError where the dimension has fewer than k
 */
export function topK(input: Tensor, k: number, axis = -1): TopK {
  const x = cast(input, 'f32')
  const at = axisOf('topK', x.shape, axis)
  if (!Number.isInteger(k) || k < 0 || k > x.shape[at]!)
    throw new ShapeError(
      `topK: k is ${k}, dimension ${at} of shape [${x.shape.join(', ')}] has ${x.shape[at]} values`,
    )
  const indices = topIndices(x, { axis: at, k })
  return { values: gather(x, at, indices), indices }
}

/**
 * Where the largest value is along a dimension, uint32, or in the whole of x as it lies in memory: `torch.argmax`. The first of equal
 * ones; of NaN the first, if there is one.
 *
 * @throws ShapeError where there are no values
 */
export function argmax(input: Tensor, axis?: number, options: { keepdim?: boolean } = {}): Tensor {
  expectOptions('argmax: options', options, ['keepdim'])
  const { keepdim = false } = options
  const whole = axis === undefined
  const x = cast(input, 'f32')
  const flat = whole ? reshape(x, [x.size]) : x
  const at = whole ? 0 : axisOf('argmax', x.shape, axis)
  if (flat.shape[at] === 0) throw new ShapeError(`argmax: shape [${x.shape.join(', ')}] has no values there`)
  const indices = topIndices(flat, { axis: at, k: 1 })
  if (whole) return reshape(indices, keepdim ? x.shape.map(() => 1) : [])
  return keepdim ? indices : reshape(indices, withoutAxes(x.shape, [at]))
}
