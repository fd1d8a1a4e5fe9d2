// What makes one value of many: over all elements, or over chosen dimensions. Sums are float32 whatever is summed, and so are results.
import { expectFlag, expectNumber, expectOptions, FINITE } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { axisReduce } from '../../kernels/axis_reduce.ts'
import { pointwise } from '../../kernels/pointwise.ts'
import { sum as sumKernel } from '../../kernels/reduce.ts'
import { expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { empty, type Shape, type Tensor } from '../tensor.ts'
import { type Axes, axesOf, withoutAxes } from './axes.ts'
import { cast } from './cast.ts'
import { mul, sqrt, square, sub } from './pointwise.ts'

/** How a reduction leaves the dimensions it reduces. */
export interface ReductionOptions {
  /** Leave them with size 1, so that the result broadcasts against the input. */
  keepdim?: boolean
}

interface Over {
  axes: readonly number[]
  shape: Shape
  factor: number
}
/** The result's shape with the reduced dimensions in place, so that it broadcasts against x. */
const kept = (x: Tensor, { axes }: Over): Shape => withoutAxes(x.shape, axes, true)
const over = (name: string, x: Tensor, given: Axes | undefined, options: ReductionOptions): Over => {
  expectTensor(name, 'x', x)
  expectOptions(`${name}: options`, options, ['keepdim'])
  const { keepdim } = options
  if (keepdim !== undefined) expectFlag(`${name}: keepdim`, keepdim)
  const axes = given ?? every(x)
  const whole = axesOf(name, x.shape, axes)
  return { axes: whole, shape: withoutAxes(x.shape, whole, keepdim), factor: 1 }
}
const every = ({ shape }: Tensor): number[] => shape.map((_, d) => d)
const countOver = ({ shape }: Tensor, axes: readonly number[]): number =>
  axes.reduce((n, axis) => n * shape[axis]!, 1)

const sumAll = defineOp({
  name: 'sum',
  inputs: ['x'],
  dtypes: { x: ['f32'] },
  shape: () => [1],
  forward: ({ gpu, x, out }) => sumKernel(gpu, { x: x.view, out: out.view, n: x.size }),
  // Repeats the one value.
  backward: ({ gpu, dout, dx }) =>
    pointwise(gpu, { name: 'mul', operands: [{ view: dout.view, shape: [1] }, 1], out: dx }),
})

const sumOver = defineOp({
  name: 'sum',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  shape: (_, { shape }: Over) => ({ shape, dtype: 'f32' }),
  forward: ({ gpu, x, out }, { axes, factor }) =>
    axisReduce(gpu, {
      kind: 'sum',
      x: x.view,
      shape: x.shape,
      storage: x.storage,
      axes,
      out: out.view,
      factor,
    }),
  backward: ({ gpu, x, dout, dx }, options) =>
    pointwise(gpu, {
      name: 'mul',
      operands: [{ view: dout.view, shape: kept(x, options) }, options.factor],
      out: dx,
    }),
})

/**
 * The sum over dimensions, or of all elements: `torch.sum`. float32, in a fixed order; [1] where no dimensions are named.
 */
export function sum(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  expectTensor('sum', 'x', x)
  if (axes === undefined) return sumAll(cast(x, 'f32'))
  return sumOver(x, over('sum', x, axes, options))
}

/** The mean over dimensions, or of all elements: `torch.mean`. float32; NaN of no values. */
export function mean(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  expectTensor('mean', 'x', x)
  if (axes === undefined) return mul(sum(x), 1 / x.size)
  const chosen = over('mean', x, axes, options)
  return sumOver(x, { ...chosen, factor: 1 / countOver(x, chosen.axes) })
}

const extremeOp = (kind: 'max' | 'min') => {
  const op = defineOp({
    name: kind,
    inputs: ['x'],
    dtypes: { x: ['f32', 'f16'] },
    shape: (_, { shape }: Over) => ({ shape, dtype: 'f32' }),
    forward: ({ gpu, x, out }, { axes }) =>
      axisReduce(gpu, { kind, x: x.view, shape: x.shape, storage: x.storage, axes, out: out.view }),
    backward({ gpu, x, out, dout, dx }, options) {
      const shape = kept(x, options)
      const places = empty(gpu, x.shape)
      const [counts, shares] = [empty(gpu, shape), empty(gpu, shape)]
      pointwise(gpu, { name: 'eq', operands: [x, { view: out.view, shape }], out: places })
      const places1 = { kind: 'sum', x: places.view, shape: x.shape, axes: options.axes } as const
      axisReduce(gpu, { ...places1, out: counts.view })
      pointwise(gpu, { name: 'div', operands: [{ view: dout.view, shape }, counts], out: shares })
      pointwise(gpu, { name: 'mul', operands: [places, shares], out: dx })
      for (const made of [places, counts, shares]) made.dispose()
    },
  })
  return (x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor => {
    const chosen = over(kind, x, axes, options)
    const none = chosen.axes.find(axis => x.shape[axis] === 0)
    if (none !== undefined)
      throw new ShapeError(`${kind}: dimension ${none} of shape [${x.shape.join(', ')}] has no values`)
    return op(x, chosen)
  }
}

/**
 * The largest value over dimensions, or of all elements: `torch.amax`. NaN wins. Equal values share the gradient evenly.
 *
 * @throws ShapeError where there are no values
 */
export const max = extremeOp('max')
/** The smallest value over dimensions, or of all elements: `torch.amin`. As `max` otherwise. */
export const min = extremeOp('min')

const logSumExpOver = defineOp({
  name: 'logSumExp',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  shape: (_, { shape }: Over) => ({ shape, dtype: 'f32' }),
  forward: ({ gpu, x, out }, { axes }) =>
    axisReduce(gpu, {
      kind: 'logSumExp',
      x: x.view,
      shape: x.shape,
      storage: x.storage,
      axes,
      out: out.view,
    }),
  backward({ gpu, x, out, dout, dx }, options) {
    // Weights are over their own sum: the log-sum-exp of large values is rounded, and would make all of them too large or small.
    const shape = kept(x, options)
    const [weights, totals] = [empty(gpu, x.shape), empty(gpu, shape)]
    pointwise(gpu, { name: 'expBelow', operands: [x, { view: out.view, shape }, 1], out: weights })
    axisReduce(gpu, { kind: 'sum', x: weights.view, shape: x.shape, axes: options.axes, out: totals.view })
    pointwise(gpu, { name: 'shareOf', operands: [weights, totals, { view: dout.view, shape }], out: dx })
    for (const made of [weights, totals]) made.dispose()
  },
})

/**
 * log of the sum of exponentials over dimensions, or of all elements: `torch.logsumexp`, of values of any size. -infinity of no
 * values, or of -infinities, which then get no gradient.
 */
export const logSumExp = (x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor =>
  logSumExpOver(x, over('logSumExp', x, axes, options))

/** What `variance` divides by: the number of values less `correction`, 1 unless given. */
export interface VarianceOptions extends ReductionOptions {
  correction?: number
}

/** The variance over dimensions, or of all elements: `torch.var`. NaN where there are no more values than `correction`. */
export function variance(x: Tensor, given?: Axes, options: VarianceOptions = {}): Tensor {
  expectTensor('variance', 'x', x)
  expectOptions('variance: options', options, ['correction', 'keepdim'])
  const { correction = 1, ...rest } = options
  expectNumber('variance: correction', correction, FINITE)
  const axes = given ?? every(x)
  const squares = sum(square(sub(x, mean(x, axes, { keepdim: true }))), axes, rest)
  const freedom = Math.max(countOver(x, axesOf('variance', x.shape, axes)) - correction, 0)
  return mul(squares, 1 / freedom) // NaN where there is none: 0 times infinity
}

/** The standard deviation, the square root of `variance`: `torch.std`. */
export const std = (x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor =>
  sqrt(variance(x, axes, options))
