// The element-wise operations, made of the table in src/pointwise.ts. Operands are tensors or numbers and are broadcast as
// NumPy does; the gradient of one that was repeated is the sum over what it was repeated along.
import { shown } from '../../check.ts'
import { ArgumentError, KernelgradError } from '../../errors.ts'
import { pointwise, pointwiseBackward } from '../../kernels/pointwise.ts'
import { broadcastShapes } from '../../kernels/strides.ts'
import { type BINARY, type PointwiseName, pointwiseRow, type UNARY } from '../../pointwise.ts'
import { ANY, expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { noGrad } from '../tape.ts'
import { empty, type Shape, Tensor } from '../tensor.ts'
import { addSame, reshape } from './arithmetic.ts'
import { cast } from './cast.ts'
import { sumTo } from './sum-to.ts'

/** A tensor, or a number that stands for every element. */
export type Operand = Tensor | number

interface Options {
  /** In the order of the row; undefined where the operand is a tensor. */
  numbers: readonly (number | undefined)[]
  p: number
  q: number
}
type Given = {
  readonly a: Tensor | undefined
  readonly b: Tensor | undefined
  readonly c: Tensor | undefined
}
const LETTERS = ['a', 'b', 'c'] as const

/** An operation of a row; tensors and numbers fill its places. */
function pointwiseOp(name: PointwiseName, { words = name === 'where' } = {}) {
  const row = pointwiseRow(name)
  const letters = LETTERS.slice(0, row.operands)
  const operandsOf = (given: Given, { numbers }: Options) =>
    letters.map((letter, i) => {
      const tensor = given[letter]
      return tensor ? { view: tensor.view, shape: tensor.shape, storage: tensor.dtype } : numbers[i]!
    })
  const op = defineOp({
    name,
    inputs: ['a?', 'b?', 'c?'],
    dtypes: { a: ['f32', 'f16', 'u32'], b: ['f32', 'f16'], c: ['f32', 'f16'] },
    shape: ({ a, b, c }) =>
      broadcastShapes(
        name,
        [a, b, c].flatMap(tensor => (tensor ? [tensor.shape] : [])),
      ),
    forward({ gpu, out, ...given }, options: Options) {
      const { p, q } = options
      pointwise(gpu, { name, operands: operandsOf(given, options), out, p, q })
    },
    backward:
      row.df &&
      (({ gpu, out, dout, needsInputGrad, ...given }, options) => {
        const passed: { a?: Tensor; b?: Tensor; c?: Tensor } = {}
        const operands = operandsOf(given, options)
        for (const [index, letter] of letters.entries()) {
          const input = given[letter]
          if (!input || !needsInputGrad[letter]) continue
          const repeated = input.shape.join() !== out.shape.join()
          const same = row.df![index] === 'dy'
          if (same && !repeated) {
            passed[letter] = dout
            continue
          }
          const made = same ? dout : empty(gpu, out.shape, repeated ? 'f32' : input.dtype)
          const { p, q } = options
          if (!same) pointwiseBackward(gpu, { name, operands, index, y: out, dy: dout, d: made, p, q })
          passed[letter] = repeated ? sumTo(made, input) : made
          if (repeated && !same) made.dispose()
        }
        return passed
      }),
  })
  return (operands: readonly Operand[], p = 0, q = 0): Tensor => {
    const wrong = operands.findIndex(operand => typeof operand !== 'number' && !(operand instanceof Tensor))
    if (wrong >= 0)
      throw new ArgumentError(
        `${name}: operand ${LETTERS[wrong]} is ${shown(operands[wrong])}, expected a tensor or a number`,
      )
    const tensors = operands.map(operand => (typeof operand === 'number' ? undefined : operand))
    const numbers = operands.map(operand => (typeof operand === 'number' ? operand : undefined))
    if (tensors.every(tensor => tensor === undefined))
      throw new KernelgradError(`${name} takes a tensor among its operands, got ${operands.join(' and ')}`)
    const [a, b, c] = alike(name, tensors, words)
    return op(a, b, c, { numbers, p, q })
  }
}

/** Tensors of one dtype: f16 where all are, else float32. The first may be uint32 where `words` says so, and stays what it is. */
function alike(
  name: string,
  tensors: readonly (Tensor | undefined)[],
  words: boolean,
): (Tensor | undefined)[] {
  const floats = tensors.filter(tensor => tensor && tensor.dtype !== 'u32')
  const dtype = floats.length > 0 && floats.every(tensor => tensor!.dtype === 'f16') ? 'f16' : 'f32'
  return tensors.map((tensor, i) => {
    if (!tensor) return tensor
    if (tensor.dtype !== 'u32') return cast(tensor, dtype)
    if (words && i === 0) return tensor
    throw new KernelgradError(`${name}: operand ${'abc'[i]} is u32, expected f32 or f16`)
  })
}

type UnaryOp = (x: Tensor) => Tensor
type BinaryOp = (a: Operand, b: Operand) => Tensor
const unary = (name: keyof typeof UNARY): UnaryOp => {
  const op = pointwiseOp(name)
  return x => op([x])
}
const binary = (name: keyof typeof BINARY): BinaryOp => {
  const op = pointwiseOp(name)
  return (a, b) => op([a, b])
}

/** -x: `torch.neg`. */
export const neg = unary('neg')
/** |x|: `torch.abs`; its gradient at 0 is 0. */
export const abs = unary('abs')
/** x²: `torch.square`. */
export const square = unary('square')
/** e to the x: `torch.exp`. */
export const exp = unary('exp')
/** exp(x) - 1, exact near 0: `torch.expm1`. */
export const expm1 = unary('expm1')
/** The natural logarithm: `torch.log`; -infinity at 0, NaN below. */
export const log = unary('log')
/** log(1 + x), exact near 0: `torch.log1p`. */
export const log1p = unary('log1p')
/** The square root: `torch.sqrt`; its gradient at 0 is infinite. */
export const sqrt = unary('sqrt')
/** 1 / sqrt(x): `torch.rsqrt`. */
export const rsqrt = unary('rsqrt')
/** 1 / x: `torch.reciprocal`. */
export const reciprocal = unary('reciprocal')
/** 1 / (1 + exp(-x)): `torch.sigmoid`. */
export const sigmoid = unary('sigmoid')
/** The hyperbolic tangent: `torch.tanh`. */
export const tanh = unary('tanh')
/** x sigmoid(x): `torch.nn.functional.silu`. */
export const silu = unary('silu')
/** log(1 + exp(x)), of any size of x: `torch.nn.functional.softplus`. */
export const softplus = unary('softplus')

const leaky = pointwiseOp('leakyRelu')
/** x where it is positive, else `slope` x: `torch.nn.functional.leaky_relu`. */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => leaky([x], slope)

const exponentialUnit = pointwiseOp('elu')
/** x where it is positive, else `alpha` (exp(x) - 1): `torch.nn.functional.elu`. */
export const elu = (x: Tensor, alpha = 1): Tensor => exponentialUnit([x], alpha)

const clamped = pointwiseOp('clamp')
/** x, not below `low` nor above `high`: `torch.clamp`. A NaN stays one; the gradient passes where low <= x <= high. */
export const clamp = (x: Tensor, low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): Tensor =>
  clamped([x], low, high)

const broadcastAdd = pointwiseOp('add')
/** a + b: `torch.add`. */
export const add: BinaryOp = (a, b) =>
  a instanceof Tensor && b instanceof Tensor && a.shape.join() === b.shape.join()
    ? addSame(a, b)
    : broadcastAdd([a, b])
/** a - b: `torch.sub`. */
export const sub = binary('sub')
/** a b, element by element: `torch.mul`. */
export const mul = binary('mul')
/** a / b: `torch.div`. */
export const div = binary('div')
/** The larger of two: `torch.maximum`. NaN wins; equal ones share the gradient evenly. */
export const maximum = binary('maximum')
/** The smaller of two: `torch.minimum`. NaN wins; equal ones share the gradient evenly. */
export const minimum = binary('minimum')

const power = pointwiseOp('pow')
/** a to the b: `torch.pow`; anything to the 0 is 1, and a negative number to a fraction NaN. */
export const pow: BinaryOp = (a, b) => (b === 2 && typeof a !== 'number' ? square(a) : power([a, b]))

/** 1 where a = b, else 0, in the operands' dtype: `torch.eq`. Like all comparisons it passes no gradient on. */
export const eq = binary('eq')
/** 1 where a and b differ, else 0: `torch.ne`. */
export const ne = binary('ne')
/** 1 where a < b, else 0: `torch.lt`. */
export const lt = binary('lt')
/** 1 where a <= b, else 0: `torch.le`. */
export const le = binary('le')
/** 1 where a > b, else 0: `torch.gt`. */
export const gt = binary('gt')
/** 1 where a >= b, else 0: `torch.ge`. */
export const ge = binary('ge')

const chosen = pointwiseOp('where')
/**
 * a where the condition is not 0, else b: `torch.where`. The condition is what a comparison gives, or uint32; it gets no
 * gradient, and none passes through what was not chosen.
 */
export const where = (condition: Tensor, a: Operand, b: Operand): Tensor => {
  expectTensor('where', 'condition', condition, ANY)
  return chosen([detach(condition), a, b])
}

/** The same values, a constant to the tape; shares memory: `torch.Tensor.detach`. */
export const detach = (x: Tensor): Tensor => {
  expectTensor('detach', 'x', x, ANY)
  return x.requiresGrad ? noGrad(() => reshape(x, x.shape as Shape)) : x
}

/** Sigmoid cross-entropy of each score against a target between 0 and 1. */
export const bceOf = binary('bceWithLogits')
/** b (log b - a): a share of the Kullback-Leibler divergence from log-probabilities a to probabilities b. */
export const klOf = binary('klDiv')
/** The same with b as log-probabilities. */
export const klLogOf = binary('klDivLog')
/** The same, and exp(a) - exp(b): over rows of log-probabilities the sum is the divergence, exact also where they are near each other. */
export const klExcessOf = binary('klDivExcess')
const differs = pointwiseOp('ne', { words: true })
/** 1 where an id, uint32, is another than `id`, else 0; float32. Ids are told apart below 2^24. */
export const isNotId = (ids: Tensor, id: number): Tensor => differs([ids, id])
