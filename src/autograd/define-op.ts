// An operation as data: what it takes, what it makes, and two functions that launch its kernels. Memory, lifetimes, checks and
// the tape are the same for all of them and stand here, on the primitive `op`.
import { ConfigError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { checkCall, checkDefinition, plainName, signatureOf } from './define-op-checks.ts'
import { gradientsOf } from './op-gradients.ts'
import { type GradTarget, noGrad, type OpContext, op } from './tape.ts'
import type { DType, Shape, Tensor } from './tensor.ts'

/** An input's name in the steps: 'bias?' may be left out of a call, and is `bias`. */
type Name<N extends string> = N extends `${infer Plain}?` ? Plain : N
type Dtypes<N extends string> = { readonly [K in Name<N>]: readonly DType[] }
/** The inputs that can have a gradient. */
type Floats<N extends string, D extends Dtypes<N>> = {
  [K in Name<N>]: D[K] extends readonly ['u32'] ? never : K
}[Name<N>]
/** A tensor, or nothing where the input may be left out. */
type Given<K extends string> = K extends `${string}?` ? Tensor | undefined : Tensor
type Tensors<N extends string> = { readonly [K in N as Name<K>]: Given<K> }
/** Those names of N, as they were given, that stand for F. */
type Raw<N extends string, F extends string> = N extends string ? (Name<N> extends F ? N : never) : never

/** What the forward step works with: every input and saved tensor under its name, and the result `out` to write. */
export type OpForward<N extends string, S extends string> = Tensors<N | S> & {
  gpu: Gpu
  out: Tensor
  /** Whether a backward step may follow; what only that would read may be left unwritten otherwise. */
  recording: boolean
}

/**
 * The same in the backward step, with the result's gradient `dout`, and `d<input>` for every float input: memory to overwrite,
 * made when it is first named (a copy, `{ ...context }`, has none).
 */
export type OpBackward<N extends string, S extends string, F extends string> = Tensors<N | S> & {
  readonly [K in Raw<N, F> as `d${Name<K>}`]: Given<K>
} & {
  gpu: Gpu
  out: Tensor
  dout: Tensor
  /** Which gradients are read afterwards; the launch of another may be left out. */
  needsInputGrad: { readonly [K in F]: boolean }
  /**
   * Where a gradient is gathered, for a kernel that can add to what is there: take `into.x` in place of `dx`, in a step that
   * needs it.
   */
  into: { readonly [K in F]: GradTarget }
}

/** A result's shape, and its dtype where it is not that of the first input that is no u32. */
export type OpResult = Shape | { shape: Shape; dtype: DType }

/** What `defineOp` takes. */
export interface OpDefinition<
  I extends readonly string[],
  D extends Dtypes<I[number]> = Dtypes<I[number]>,
  S extends string = string,
  O = unknown,
> {
  /** What error messages call it. */
  name: string
  /** Names of the tensors it takes, in the order of the call; one that ends in '?' may be undefined in a call. */
  inputs: I
  /**
   * The dtypes each input may have; a u32 input gets no gradient. Inputs that take both f32 and f16 have the same one in any
   * call. The result has the dtype of the first input that is no u32, unless `shape` says otherwise.
   */
  dtypes: D
  /** Inputs may differ in dtype where they take f32 and f16. */
  mixed?: boolean
  /** The result's shape, with its dtype where need be, and the place to check shapes; unless given, that of the first input. */
  shape?: (inputs: Tensors<I[number]>, options: O) => OpResult
  /**
   * Tensors that the forward step writes for the backward step, freed after it; float32 unless a dtype is given. One whose name ends
   * in '?' may be undefined, as where no backward step will follow.
   */
  saved?: (
    inputs: Tensors<I[number]>,
    options: O,
    recording: boolean,
  ) => { readonly [K in S]: OpResult | (K extends `${string}?` ? undefined : never) }
  /** Launches the forward kernels: writes every element of `out` and of what is saved. */
  forward: (context: OpForward<I[number], S>, options: O) => void
  /**
   * Launches the backward kernels: writes the gradient of every input that wants one, to `d<input>` or to `into.<input>`, or returns
   * it by the input's name; `dout` itself may be one. An operation without a backward step passes no gradient on: its result
   * is a constant to the tape.
   */
  backward?:
    | ((
        context: OpBackward<I[number], S, Floats<I[number], D>>,
        options: O,
        // biome-ignore lint/suspicious/noConfusingVoidType: a step that only launches returns nothing
      ) => { readonly [K in Floats<I[number], D>]?: Tensor | undefined } | void)
    | undefined
}

type Call<I extends readonly string[], O> = [
  ...tensors: { -readonly [K in keyof I]: I[K] extends string ? Given<I[K]> : never },
  ...options: unknown extends O ? [] : [options: O],
]

/** A differentiable operation made by `defineOp`: call it with its tensors, and its options where it has any. */
export interface Op<I extends readonly string[] = readonly string[], O = unknown> {
  (...call: Call<I, O>): Tensor
  /** What it was made of. */
  readonly definition: OpDefinition<I, Dtypes<I[number]>, string, O>
}

const RESERVED = ['gpu', 'out', 'dout', 'needsInputGrad', 'into', 'recording']

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
  checkDefinition(definition)
  const { name } = definition
  const inputs = definition.inputs.map(plainName)
  checkNames(name, [...inputs, ...inputs.map(input => `d${input}`)])
  const signature = signatureOf(definition)
  const gradients = gradientsOf(name, inputs)
  const call = (...args: unknown[]): Tensor => {
    checkCall(signature, args)
    const options = args[inputs.length] as O
    const tensors: (Tensor | undefined)[] = []
    const given: Tensor[] = []
    for (let i = 0; i < inputs.length; i++) {
      const tensor = args[i] as Tensor | undefined
      tensors.push(tensor)
      if (tensor !== undefined) given.push(tensor)
    }
    const { gpu } = given[0]!
    const forward = (context: OpContext) => {
      const { recording } = context
      const steps = gradients.steps(tensors)
      const named = steps as unknown as Tensors<I[number]>
      const { shape, dtype, saved } = resultOf(definition, named, options, recording, inputs)
      const out = context.empty(shape, dtype)
      steps.gpu = gpu
      steps.out = out
      steps.recording = recording
      if (saved) for (const [key, made] of saved) steps[key] = context.saved(made.shape, made.dtype)
      definition.forward(steps as unknown as OpForward<I[number], S>, options)
      return { steps, out }
    }
    const { backward } = definition
    if (!backward)
      return noGrad(() =>
        op(name, gpu, [], context => ({ output: forward(context).out, backward: () => [] })),
      )
    return op(name, gpu, given, context => {
      const { steps, out } = forward(context)
      return {
        output: out,
        backward: dout => {
          gradients.begin(steps, tensors, dout)
          const all = steps as unknown as OpBackward<I[number], S, Floats<I[number], D>>
          return gradients.end(
            steps,
            (backward(all, options) as Record<string, Tensor | undefined> | undefined) ?? undefined,
          )
        },
      }
    })
  }
  return Object.assign(call, { definition }) as unknown as Op<I, O>
}

/** What a call makes: the result's shape and dtype, and those of what is saved. */
export function resultOf<I extends readonly string[], D extends Dtypes<I[number]>, S extends string, O>(
  definition: OpDefinition<I, D, S, O>,
  named: Tensors<I[number]>,
  options: O,
  recording = true,
  inputs: readonly string[] = definition.inputs.map(plainName),
): Sized & { saved: [name: string, made: Sized][] } {
  const { name, shape, saved } = definition
  const tensors = named as Record<string, Tensor | undefined>
  const first = inputs.find(input => tensors[input] && tensors[input].dtype !== 'u32')
  const made: [string, Sized][] = []
  if (saved) {
    const all: Record<string, OpResult | undefined> = saved(named, options, recording) ?? {}
    if (!checked.has(definition)) {
      checkNames(name, [...inputs, ...inputs.map(input => `d${input}`), ...Object.keys(all).map(plainName)])
      checked.add(definition)
    }
    for (const key in all) if (all[key]) made.push([plainName(key), sized(all[key], 'f32')])
  }
  const result = shape?.(named, options) ?? tensors[inputs[0]!]!.shape
  return { ...sized(result, first === undefined ? 'f32' : tensors[first]!.dtype), saved: made }
}

/** Definitions whose saved tensors have names of their own. */
const checked = new WeakSet<object>()

interface Sized {
  shape: Shape
  dtype: DType
}
const sized = (result: OpResult, dtype: DType): Sized =>
  'shape' in result ? result : { shape: result, dtype }

function checkNames(op: string, names: string[]): void {
  const bad = names.find((name, i) => RESERVED.includes(name) || names.indexOf(name) !== i)
  if (bad === undefined) return
  const why = RESERVED.includes(bad) ? 'it is reserved' : 'it stands for two tensors'
  throw new ConfigError(`operation ${op}: no tensor can be called '${bad}', ${why}`)
}
