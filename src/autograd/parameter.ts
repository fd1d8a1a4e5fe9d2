// Parameters exist before a device does: a model can be built, printed and counted without one. Memory comes with
// `allocateDense` and `allocateTables` (from `Module.to`).
import { COUNT, expectDims, expectNumber, expectNumbers, FINITE, NON_NEGATIVE, shown } from '../check.ts'
import { ArgumentError, ConfigError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { expectGpu } from './checks.ts'
import type { TableParameter } from './table-parameter.ts'
import type { GradTarget } from './tape.ts'
import { type Shape, Tensor } from './tensor.ts'

/**
 * How a parameter starts, as torch.nn.init names it. 'uniform' draws from `low` (-bound unless given) to below `bound`; 'constants' gives each
 * of its values to an equal share of the parameter, in order, as to the gates of an LSTM's bias.
 */
export type Init =
  | { kind: 'normal'; mean?: number; std: number }
  | { kind: 'uniform'; bound: number; low?: number }
  | { kind: 'constant'; value: number }
  | { kind: 'constants'; values: readonly number[] }

/** @throws ArgumentError unless a shape is a list of sizes of 1 or more */
export function expectSizes(what: string, shape: unknown): void {
  expectDims(`${what}: shape`, shape)
  for (const size of shape) expectNumber(`${what}: a size of shape [${shape}]`, size, COUNT)
}

/** @throws ConfigError unless `init` says how to start */
export function expectInit(where: string, init: unknown): asserts init is Init {
  const { kind, mean, std, bound, low, value, values } = (init ?? {}) as Record<string, unknown>
  if (kind === 'normal') {
    expectNumber(`${where}: init.std`, std, NON_NEGATIVE)
    if (mean !== undefined) expectNumber(`${where}: init.mean`, mean, FINITE)
  } else if (kind === 'uniform') {
    expectNumber(`${where}: init.bound`, bound, NON_NEGATIVE)
    if (low !== undefined)
      expectNumber(`${where}: init.low`, low, {
        says: `a number of at most ${bound}`,
        takes: x => x <= bound && x > -Infinity,
      })
  } else if (kind === 'constant') expectNumber(`${where}: init.value`, value, FINITE)
  else if (kind === 'constants') {
    expectNumbers(`${where}: init.values`, values, FINITE)
    if (!values.length) throw new ConfigError(`${where}: init.values is empty, expected a number or more`)
  } else {
    const got =
      typeof init === 'object' && init !== null ? `init.kind is ${shown(kind)}` : `init is ${shown(init)}`
    throw new ConfigError(`${where}: ${got}, expected 'normal', 'uniform', 'constant' or 'constants'`)
  }
}

/** A consecutive part of a parameter's values: `size` elements from element `start`. @internal */
export interface Chunk {
  /** The memory; it may be larger than the values. */
  view: View
  /** Index of the first element. */
  start: number
  /** Number of elements. */
  size: number
}

/** A trained tensor: `DenseParameter` with its gradient beside it, or `TableParameter` with row-sparse gradients. */
export type Parameter = DenseParameter | TableParameter

/** Flat memory that holds many dense parameters: weights, and gradients at the same offsets. @internal */
export interface Arena {
  /** The values of all of them. */
  weights: View
  /** Their gradients; where all of them were frozen when they got memory, there is none until it is asked for. */
  readonly grads: View
  /** The memory there is. */
  readonly held: readonly View[]
  /** The parameters inside, by byte offset. */
  blocks: { parameter: DenseParameter; offset: number; bytes: number }[]
}

/** Offsets of blocks inside an arena are multiples of this many bytes: what a storage binding needs. @internal */
export const BLOCK_BYTES = 256

/** Any parameter except an embedding table. Its values live in an arena shared with other parameters. */
export class DenseParameter extends Tensor {
  /** How it starts. */
  readonly init: Init
  /** The larger parameter whose rows this one is, and where: see `packParameters`. */
  parent: DenseParameter | undefined
  /** Elements before it in that parameter. */
  parentOffset = 0
  /** The parameters whose rows make up this one, where it is a pack. */
  readonly parts: DenseParameter[] = []
  #arena: Arena | undefined
  #offset = 0
  #written = false

  /** It has no memory until its module is given a device. */
  constructor(shape: Shape, init: Init) {
    expectSizes('DenseParameter', shape)
    expectInit('DenseParameter', init)
    super(shape, 'f32')
    this.init = init
    this.requiresGrad = true
  }

  /** Whether it is trained; of a pack, whether any part is. A frozen parameter takes no part in the backward pass. */
  override get requiresGrad(): boolean {
    return this.parts.length ? this.parts.some(part => part.requiresGrad) : super.requiresGrad
  }

  override set requiresGrad(wanted: boolean) {
    for (const part of this.parts) part.requiresGrad = wanted
    super.requiresGrad = wanted
  }

  override get gpu(): Gpu {
    return arenaGpu.get(this.#memory())!
  }

  /** Whether it has no memory: before its module is given a device, and after that is freed. */
  override get disposed(): boolean {
    return this.root.#arena === undefined
  }

  #memory(): Arena {
    const arena = this.root.#arena
    if (arena) return arena
    throw new KernelgradError(
      `a parameter of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
    )
  }

  override get view(): View {
    return { buffer: this.#memory().weights.buffer, offset: this.#byteOffset(), size: this.size * 4 }
  }

  /** The parameter that owns the memory: this one, or the pack it belongs to. */
  get root(): DenseParameter {
    return this.parent ?? this
  }

  /** Where its values lie; undefined before it has memory. */
  get arena(): Arena | undefined {
    return this.root.#arena
  }

  /** Whether a gradient has been computed since the last `zeroGrad`. */
  get hasGrad(): boolean {
    return this.root.#written
  }

  /** The gradient's memory, all zero or stale while `hasGrad` is false. */
  get gradView(): View {
    return { buffer: this.#memory().grads.buffer, offset: this.#byteOffset(), size: this.size * 4 }
  }

  /** Where a backward step writes the gradient, and whether it adds to what is there. */
  gradTarget(): GradTarget {
    if (this.parent)
      throw new KernelgradError('gradients of packed parameters are written through their pack')
    const accumulate = this.#written
    this.#written = true
    return { view: this.gradView, accumulate }
  }

  /** Forgets the gradient: the next one overwrites it. */
  zeroGrad(): void {
    this.#written = false
  }

  /** The values, in one piece. */
  chunks(): Chunk[] {
    return [{ view: this.view, start: 0, size: this.size }]
  }

  /** The gradient's values; zeros when none was computed. */
  async readGrad(): Promise<Float32Array<ArrayBuffer>> {
    return this.hasGrad ? this.gpu.readFloats(this.gradView) : new Float32Array(this.size)
  }

  /** For `allocateDense`; without an arena, its memory is gone. */
  place(arena: Arena | undefined, offset = 0): void {
    this.#written = false
    this.#arena = arena
    this.#offset = offset
  }

  #byteOffset(): number {
    return this.root.#offset + this.parentOffset * 4
  }
}

const arenaGpu = new WeakMap<Arena, Gpu>()

function checkPart(i: number, part: unknown): void {
  const where = `packParameters: part ${i}`
  if (!(part instanceof DenseParameter))
    throw new ArgumentError(`${where} is ${shown(part)}, expected a DenseParameter`)
  if (part.parent)
    throw new ConfigError(`${where} lies in another pack already, expected one that lies in none`)
  if (part.arena) throw new ConfigError(`${where} has memory already; pack parameters before model.to(gpu)`)
}

/** Lets `parts` lie side by side, so that one matmul covers all of them: q, k and v. Returns the parameter of the whole. @internal */
export function packParameters(parts: DenseParameter[]): DenseParameter {
  if (!Array.isArray(parts) || !parts.length)
    throw new ArgumentError(`packParameters: parts are ${shown(parts)}, expected an array of parameters`)
  for (const [i, part] of parts.entries()) checkPart(i, part)
  const [rows, ...rest] = parts[0]!.shape
  for (const part of parts) {
    if (part.shape.join() !== parts[0]!.shape.join()) {
      throw new ShapeError(`packParameters: parts differ in shape: [${parts[0]!.shape}] and [${part.shape}]`)
    }
  }
  const pack = new DenseParameter([rows! * parts.length, ...rest], { kind: 'constant', value: 0 })
  for (const [i, part] of parts.entries()) {
    part.parent = pack
    part.parentOffset = i * part.size
    pack.parts.push(part)
  }
  return pack
}

/** Gives dense parameters memory: arenas of at most one binding's size, each parameter in an aligned block. @internal */
export function allocateDense(gpu: Gpu, parameters: DenseParameter[]): Arena[] {
  expectGpu('allocateDense: gpu', gpu)
  if (!Array.isArray(parameters))
    throw new ArgumentError(
      `allocateDense: parameters are ${shown(parameters)}, expected an array of parameters`,
    )
  for (const [i, parameter] of parameters.entries()) {
    const where = `allocateDense: parameter ${i}`
    if (!(parameter instanceof DenseParameter))
      throw new ArgumentError(`${where} is ${shown(parameter)}, expected a DenseParameter`)
    if (parameter.arena) throw new ConfigError(`${where}, of shape [${parameter.shape}], has memory already`)
  }
  const roots = [...new Set(parameters.map(parameter => parameter.root))]
  const plans: { bytes: number; blocks: Arena['blocks'] }[] = []
  for (const parameter of roots) {
    const bytes = Math.ceil((parameter.size * 4) / BLOCK_BYTES) * BLOCK_BYTES
    let plan = plans.at(-1)
    if (!plan || plan.bytes + bytes > gpu.maxBinding) {
      plan = { bytes: 0, blocks: [] }
      plans.push(plan)
    }
    plan.blocks.push({ parameter, offset: plan.bytes, bytes })
    plan.bytes += bytes
  }
  return plans.map(({ bytes, blocks }) => {
    const block = (label: string): View => ({ ...gpu.allocate(bytes, label), whole: false })
    const weights = block('parameters')
    const trained = blocks.some(({ parameter }) => parameter.requiresGrad)
    let grads = trained ? block('gradients') : undefined
    gpu.clear(weights)
    if (grads) gpu.clear(grads)
    const arena: Arena = {
      weights,
      get grads() {
        if (grads) return grads
        grads = block('gradients')
        gpu.clear(grads)
        return grads
      },
      get held() {
        return grads ? [weights, grads] : [weights]
      },
      blocks,
    }
    arenaGpu.set(arena, gpu)
    for (const { parameter, offset } of blocks) parameter.place(arena, offset)
    return arena
  })
}
