// An operation as data: what it takes, what it makes, and two functions that launch its kernels. Memory, lifetimes, checks and
// the tape are the same for all of them and stand here, on the primitive `op`.
import { ConfigError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { op } from './tape.ts'
import { type DType, empty, type Shape, type Tensor } from './tensor.ts'

type Dtypes<N extends string> = { readonly [K in N]: readonly DType[] }
/** The inputs that can have a gradient. */
type Floats<N extends string, D extends Dtypes<N>> = {
  [K in N]: D[K] extends readonly ['u32'] ? never : K
}[N]
type Tensors<N extends string> = { readonly [K in N]: Tensor }

/** What the forward step works with: every input and saved tensor under its name, and the result `out` to write. */
export type OpForward<N extends string, S extends string> = Tensors<N | S> & { gpu: Gpu; out: Tensor }

/** The same in the backward step, with the result's gradient `dout`, and `d<input>` to overwrite for every float input. */
export type OpBackward<N extends string, S extends string, F extends string> = Tensors<N | S | `d${F}`> & {
  gpu: Gpu
  out: Tensor
  dout: Tensor
  /** Which gradients are read afterwards; the launch of another may be left out. */
  needsInputGrad: { readonly [K in F]: boolean }
}

/** What `defineOp` takes. */
export interface OpDefinition<
  I extends readonly string[],
  D extends Dtypes<I[number]> = Dtypes<I[number]>,
  S extends string = string,
  O = unknown,
> {
  /** What error messages call it. */
  name: string
  /** Names of the tensors it takes, in the order of the call. */
  inputs: I
  /**
   * The dtypes each input may have; a u32 input gets no gradient. Inputs that take both f32 and f16 have the same one in any
   * call. The result has the dtype of the first input that is no u32.
   */
  dtypes: D
  /** The result's shape, and the place to check shapes; unless given, that of the first input. */
  shape?: (inputs: Tensors<I[number]>, options: O) => Shape
  /** float32 tensors that the forward step writes for the backward step, freed after it. */
  saved?: (inputs: Tensors<I[number]>, options: O) => { readonly [K in S]: Shape }
  /** Launches the forward kernels: writes every element of `out` and of what is saved. */
  forward: (context: OpForward<I[number], S>, options: O) => void
  /** Launches the backward kernels: overwrites the gradients of the inputs. */
  backward: (context: OpBackward<I[number], S, Floats<I[number], D>>, options: O) => void
}

type Call<I extends readonly string[], O> = [
  ...tensors: { -readonly [K in keyof I]: Tensor },
  ...options: unknown extends O ? [] : [options: O],
]

/** A differentiable operation made by `defineOp`: call it with its tensors, and its options where it has any. */
export interface Op<I extends readonly string[] = readonly string[], O = unknown> {
  (...call: Call<I, O>): Tensor
  /** What it was made of. */
  readonly definition: OpDefinition<I, Dtypes<I[number]>, string, O>
}

const RESERVED = ['gpu', 'out', 'dout', 'needsInputGrad']

/**
 * Makes a differentiable operation of kernels: forward beside backward. It is recorded on the tape where an input wants a
 * gradient; what it makes lives in the scope around the call, and what it saved until its backward step.
 *
 * What is no tensor, a number or an object of options, is one last argument: annotate it in `forward`. examples/custom-kernel is a package that
 * defines an operation, checks it with `gradcheck` and times it with `benchOp`.
 *
 * @example
 * ```ts
 * import { defineOp, tensor } from 'kernelgrad'
 *
 * // forward and backward: kernels made by `defineKernel`
 * const square = defineOp({
 *   name: 'square',
 *   inputs: ['x'],
 *   dtypes: { x: ['f32'] },
 *   forward: ({ gpu, x, out }) => gpu.launch(forward, { n: x.size }, [x.view, out.view], Math.ceil(x.size / 64)),
 *   backward: ({ gpu, x, dout, dx }) =>
 *     gpu.launch(backward, { n: x.size }, [x.view, dout.view, dx.view], Math.ceil(x.size / 64)),
 * })
 * const y = square(tensor(gpu, [1, 2, 3]))
 * ```
 *
 * @throws ConfigError when a name is used twice or stands for something else in the steps (`gpu`, `out`, `dout`)
 * @returns the operation; a call throws a ShapeError for a wrong number of tensors and a KernelgradError for a dtype that the
 *   operation does not take, each naming operation and input
 */
export function defineOp<
  const I extends readonly string[],
  const D extends Dtypes<I[number]>,
  S extends string = never,
  O = unknown,
>(definition: OpDefinition<I, D, S, O>): Op<I, O> {
  const { name, inputs } = definition
  checkNames(name, [...inputs, ...inputs.map(input => `d${input}`)])
  const call = (...args: unknown[]): Tensor => {
    const tensors = args.slice(0, inputs.length) as Tensor[]
    const options = args[inputs.length] as O
    checkInputs(definition, tensors)
    const named = byName(inputs, tensors) as Tensors<I[number]>
    const gpu = tensors[0]!.gpu
    return op(name, gpu, tensors, context => {
      const { shape, dtype, saved: savedShapes } = resultOf(definition, named, options)
      const out = context.empty(shape, dtype)
      const saved = Object.fromEntries(
        Object.entries<Shape>(savedShapes).map(([key, shape]) => [key, context.saved(shape)]),
      )
      const both = { gpu, ...named, ...saved, out }
      definition.forward(both as OpForward<I[number], S>, options)
      return {
        output: out,
        backward: dout => {
          const grads = gradsOf(inputs, tensors)
          const needsInputGrad = byName(
            inputs,
            tensors.map(({ requiresGrad }) => requiresGrad),
          )
          const steps = { ...both, ...grads, dout, needsInputGrad }
          definition.backward(steps as OpBackward<I[number], S, Floats<I[number], D>>, options)
          return inputs.map((input, i) => {
            const grad = grads[`d${input}`]
            if (tensors[i]!.requiresGrad) return grad
            grad?.dispose()
            return undefined
          })
        },
      }
    })
  }
  return Object.assign(call, { definition }) as unknown as Op<I, O>
}

/** What a call makes: the result's shape and dtype, and the shapes of what is saved. */
export function resultOf<I extends readonly string[], D extends Dtypes<I[number]>, S extends string, O>(
  { name, inputs, shape, saved }: OpDefinition<I, D, S, O>,
  named: Tensors<I[number]>,
  options: O,
): { shape: Shape; dtype: DType; saved: Record<string, Shape> } {
  const first: I[number] | undefined = inputs.find((input: I[number]) => named[input].dtype !== 'u32')
  const made: Record<string, Shape> = saved?.(named, options) ?? {}
  if (saved) checkNames(name, [...inputs, ...inputs.map(input => `d${input}`), ...Object.keys(made)])
  return {
    shape: shape?.(named, options) ?? named[inputs[0] as I[number]].shape,
    dtype: first === undefined ? 'f32' : named[first].dtype,
    saved: made,
  }
}

/** Memory for the gradient of every float input, under `d<input>`. */
export function gradsOf(inputs: readonly string[], tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(
    tensors.flatMap(({ gpu, shape, dtype }, i) =>
      dtype === 'u32' ? [] : [[`d${inputs[i]}`, empty(gpu, shape, dtype)]],
    ),
  )
}

const byName = <T>(names: readonly string[], values: readonly T[]): Record<string, T> =>
  Object.fromEntries(names.map((name, i) => [name, values[i]!]))

function checkNames(op: string, names: string[]): void {
  const bad = names.find((name, i) => RESERVED.includes(name) || names.indexOf(name) !== i)
  if (bad === undefined) return
  const why = RESERVED.includes(bad) ? 'it is reserved' : 'it stands for two tensors'
  throw new ConfigError(`operation ${op}: no tensor can be called '${bad}', ${why}`)
}

function checkInputs(
  { name, inputs, dtypes }: { name: string; inputs: readonly string[]; dtypes: Dtypes<string> },
  tensors: Tensor[],
): void {
  const given = tensors.filter(tensor => tensor && typeof tensor === 'object' && 'dtype' in tensor).length
  if (given !== inputs.length) {
    throw new ShapeError(`${name} takes ${inputs.length} tensors (${inputs.join(', ')}), got ${given}`)
  }
  let first: number | undefined
  for (const [i, input] of inputs.entries()) {
    const { dtype, gpu } = tensors[i]!
    const allowed = dtypes[input]!
    if (!allowed.includes(dtype))
      throw new KernelgradError(`${name}: ${input} is ${dtype}, expected ${allowed.join(' or ')}`)
    if (gpu !== tensors[0]!.gpu)
      throw new KernelgradError(`${name}: ${input} is on another device than ${inputs[0]}`)
    if (!(allowed.includes('f32') && allowed.includes('f16'))) continue
    first ??= i
    if (dtype !== tensors[first]!.dtype) {
      throw new KernelgradError(
        `${name}: ${input} is ${dtype} and ${inputs[first]} is ${tensors[first]!.dtype}, expected one dtype; cast() one of them`,
      )
    }
  }
}
