import type { Op, Shape, Tensor } from '../autograd/index.ts'
import { COUNT, expectDevice, expectDims, expectNumber, expectOneOf, expectOptions, shown } from '../check.ts'
import { ArgumentError, KernelgradError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { type Seed, uniform } from './random.ts'
import { type TimingOptions, timeLaunches } from './timing.ts'

/** One direction of an operation, timed; `npm run bench -- kernels --json` prints rows with the same keys. */
export interface BenchRow {
  /** 'swiglu.forward'. */
  name: string
  /** Shapes of the inputs: '37x64 37x64'. */
  shape: string
  /** dtype of the result. */
  dtype: string
  /** Median milliseconds. */
  ms: number
  /** Milliseconds of the fastest sample. */
  best: number
  /** 10⁹ operations a second, where the number of operations is given. */
  gflops: number | null
  /** 10⁹ bytes a second, of every tensor that the step uses, read or written once. */
  gbps: number
}

/** An input to time with: of this shape and dtype with uniform random values in [-1, 1), or these values. */
export type BenchInput =
  | { shape: Shape; dtype?: 'f32' | 'f16' }
  | { shape: Shape; data: Float32Array | Uint32Array }

/** How to time an operation. */
export interface BenchOpOptions<O> extends TimingOptions {
  /** What the operation is called with, where it has options. */
  options?: O
  /** Arithmetic operations of each direction. */
  flops?: { forward: number; backward: number }
  /** Of the random values. */
  seed?: Seed
}

/**
 * Times an operation made by `defineOp`: its forward and backward launches by themselves, without the tape and without making
 * memory. Frees what it made.
 *
 * @example
 * ```ts
 * import { benchOp } from 'kernelgrad/testing'
 *
 * console.table(await benchOp(gpu, swiglu, [{ shape: [4096, 1024] }, { shape: [4096, 1024] }]))
 * ```
 */
export async function benchOp<I extends readonly string[], O>(
  gpu: Gpu,
  op: Op<I, O>,
  inputs: readonly BenchInput[],
  given: BenchOpOptions<O> = {},
): Promise<[forward: BenchRow, backward: BenchRow]> {
  checkGiven(gpu, op, inputs, given)
  const { options, flops, seed = 1, ...timing } = given
  const { cast, empty, scope, tensor } = await import('../autograd/index.ts')
  const { resultOf } = await import('../autograd/define-op.ts')
  const { plainName } = await import('../autograd/define-op-checks.ts')
  const { definition } = op
  const { name, backward } = definition
  if (!backward) throw new KernelgradError(`benchOp times both directions, and ${name} has no backward step`)
  const values = (shape: Shape) =>
    tensor(
      gpu,
      uniform(
        shape.reduce((n, size) => n * size, 1),
        seed,
      ),
      shape,
    )
  const made = scope(() => {
    const tensors = inputs.map(input => {
      if ('data' in input) return tensor(gpu, input.data, input.shape)
      return cast(values(input.shape), input.dtype ?? 'f32')
    })
    const names = definition.inputs.map(plainName)
    const named = Object.fromEntries(names.map((name, i) => [name, tensors[i]!]))
    op(...([...tensors, ...(options === undefined ? [] : [options])] as Parameters<typeof op>)).dispose()
    const { shape, dtype, saved } = resultOf(definition, named as never, options as O)
    const out = empty(gpu, shape, dtype)
    const kept = Object.fromEntries(
      saved.map(([name, { shape, dtype }]) => [name, empty(gpu, shape, dtype)] as const),
    )
    const dout = dtype === 'f16' ? cast(values(shape), 'f16') : values(shape)
    const grads = Object.fromEntries(
      names.flatMap((name, i) => {
        const { shape, dtype } = tensors[i]!
        return dtype === 'u32' ? [] : [[`d${name}`, empty(gpu, shape, dtype)] as const]
      }),
    )
    return { tensors: { ...named, ...kept, out }, dout, grads }
  })
  const { tensors, dout, grads } = made
  const names = definition.inputs.map(plainName)
  const needsInputGrad = Object.fromEntries(names.map(name => [name, `d${name}` in grads]))
  const used = new Set<Tensor>()
  const into = new Proxy(grads, {
    get(grads, name: string) {
      const grad = grads[`d${name}`]!
      used.add(grad)
      return { view: grad.view, accumulate: false }
    },
  })
  const context = (members: Record<string, unknown>) =>
    new Proxy(members, {
      get(target, name: string) {
        const member = target[name]
        if (member && typeof member === 'object' && 'bytes' in member) used.add(member as Tensor)
        return member
      },
    })
  const row = async (
    direction: 'forward' | 'backward',
    members: Record<string, unknown>,
  ): Promise<BenchRow> => {
    used.clear()
    const step = (direction === 'forward' ? definition.forward : backward) as (
      context: unknown,
      options: O,
    ) => unknown
    const { ms, best } = await timeLaunches(gpu, () => void step(context(members), options as O), timing)
    let bytes = 0
    for (const tensor of used) bytes += tensor.bytes
    return {
      name: `${definition.name}.${direction}`,
      shape: inputs.map(({ shape }) => shape.join('x')).join(' '),
      dtype: tensors.out.dtype,
      ms,
      best,
      gflops: flops ? flops[direction] / ms / 1e6 : null,
      gbps: bytes / ms / 1e6,
    }
  }
  try {
    return [
      await row('forward', { gpu, ...tensors, recording: true }),
      await row('backward', { gpu, ...tensors, ...grads, dout, needsInputGrad, into }),
    ]
  } finally {
    for (const tensor of [...Object.values(tensors), ...Object.values(grads), dout]) tensor.dispose()
  }
}

/** @throws ArgumentError, ConfigError or ShapeError that names the argument */
function checkGiven(gpu: unknown, op: unknown, inputs: unknown, given: unknown): void {
  expectDevice('benchOp: gpu', gpu)
  const { definition } = (typeof op === 'function' ? op : {}) as {
    definition?: { inputs: readonly string[] }
  }
  if (!definition)
    throw new ArgumentError(`benchOp: op is ${shown(op)}, expected an operation that defineOp made`)
  if (!Array.isArray(inputs))
    throw new ArgumentError(
      `benchOp: inputs are ${shown(inputs)}, expected an array of { shape } and its like`,
    )
  const names = definition.inputs
  const needed = names.filter(name => !name.endsWith('?')).length
  if (inputs.length < needed || inputs.length > names.length)
    throw new ArgumentError(
      `benchOp: got ${inputs.length} inputs, expected those of the operation: ${names.join(', ')}`,
    )
  for (const [i, input] of inputs.entries()) {
    const where = `benchOp: inputs[${i}]`
    expectOptions(where, input, ['shape', 'dtype', 'data'])
    expectDims(`${where}.shape`, input.shape)
    expectOneOf(`${where}.dtype`, input.dtype, ['f32', 'f16', undefined])
  }
  expectOptions('benchOp: options', given, ['options', 'flops', 'seed', 'budget', 'sample'])
  const { flops } = given as BenchOpOptions<unknown>
  if (flops === undefined) return
  expectOptions('benchOp: flops', flops, ['forward', 'backward'])
  for (const way of ['forward', 'backward'] as const) expectNumber(`benchOp: flops.${way}`, flops[way], COUNT)
}
