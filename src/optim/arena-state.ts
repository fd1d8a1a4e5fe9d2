import { type Arena, BLOCK_BYTES, type DenseParameter } from '../autograd/index.ts'
import { ConfigError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { OPTIMIZER_SKIP } from '../kernels/optimizer.ts'
import type { StatePart } from './table-state.ts'

type Block = Arena['blocks'][number]

/** State of one stretch of an arena, and which group each of its blocks belongs to. */
export class ArenaState {
  readonly arena: Arena
  /** Weights, gradients and state of the stretch. */
  readonly w: View
  readonly g: View
  readonly states: View[]
  /** [blocks]: each block's group. */
  readonly slots: View
  readonly blocks: number
  readonly #gpu: Gpu
  readonly #parameters: Block[]
  readonly #start: number
  /** What `slots` holds, to upload it only when it changes. */
  #shown = ''

  constructor(gpu: Gpu, arena: Arena, states: number, parameters: Block[]) {
    const [first, last] = [parameters[0]!, parameters.at(-1)!]
    const size = last.offset + last.bytes - first.offset
    const stretch = ({ buffer, offset }: View): View => ({
      buffer,
      offset: offset + first.offset,
      size,
      whole: false,
    })
    const zeros = () => {
      const view = gpu.allocate(size, 'optimizer state')
      gpu.clear(view)
      return view
    }
    this.#gpu = gpu
    this.#parameters = parameters
    this.#start = first.offset
    this.arena = arena
    this.w = stretch(arena.weights)
    this.g = stretch(arena.grads)
    this.states = Array.from({ length: states }, zeros)
    this.blocks = size / BLOCK_BYTES
    this.slots = gpu.allocate(this.blocks * 4, 'optimizer slots')
  }

  /** Whether its parameters still lie in this memory. */
  get current(): boolean {
    return this.#parameters[0]!.parameter.arena === this.arena
  }

  /** Uploads which group each block belongs to, if that changed. False when no block has a gradient. */
  show(groupOf: (parameter: DenseParameter) => number | undefined): boolean {
    const slots = this.#parameters.map(({ parameter }) => {
      if (parameter.parts.some(part => part.requiresGrad !== parameter.requiresGrad))
        throw new ConfigError('of parameters packed side by side (q, k and v), only some are frozen')
      return parameter.hasGrad && parameter.requiresGrad
        ? (groupOf(parameter) ?? OPTIMIZER_SKIP)
        : OPTIMIZER_SKIP
    })
    if (slots.join() !== this.#shown) {
      const table = new Uint32Array(this.blocks)
      for (const [i, { offset, bytes }] of this.#parameters.entries()) {
        const at = offset - this.#start
        table.fill(slots[i]!, at / BLOCK_BYTES, (at + bytes) / BLOCK_BYTES)
        // The norm runs over whole stretches: a gradient left over from an earlier step must not count.
        if (slots[i] === OPTIMIZER_SKIP)
          this.#gpu.clear({ buffer: this.g.buffer, offset: this.g.offset + at, size: bytes })
      }
      this.#gpu.upload(this.slots, table)
      this.#shown = slots.join()
    }
    return slots.some(slot => slot !== OPTIMIZER_SKIP)
  }

  /** Of each parameter, 1 where it has a gradient. */
  flags(): number[] {
    return this.#parameters.map(({ parameter }) => Number(parameter.hasGrad && parameter.requiresGrad))
  }

  /** Gives those that `flags` name, and that have no gradient, one of zeros. */
  complete(flags: readonly number[]): void {
    for (const [i, { parameter, bytes }] of this.#parameters.entries()) {
      if (!flags[i] || parameter.hasGrad) continue
      const { view } = parameter.gradTarget()
      this.#gpu.clear({ ...view, size: bytes })
    }
  }

  holds({ root }: DenseParameter): boolean {
    return this.#parameters.some(({ parameter }) => parameter === root)
  }

  /** A parameter that it holds: one part, and in it a part of every state. */
  partsOf(parameter: DenseParameter): StatePart[][] {
    const { offset, size } = parameter.view
    const part = ({ buffer }: View): StatePart => ({
      view: { buffer, offset: offset - this.w.offset, size },
      size: parameter.size,
    })
    return [this.states.map(part)]
  }

  dispose(): void {
    for (const view of [...this.states, this.slots]) this.#gpu.release(view)
  }
}

/** A launch more for each stretch: frozen parameters of fewer bytes than this, between trained ones, stay in theirs. */
const GAP_BYTES = 1 << 16

/** The stretches of an arena that hold trained parameters; one, where all are. */
export function arenaStates(
  gpu: Gpu,
  arena: Arena,
  states: number,
  isTrained: (parameter: DenseParameter) => boolean,
): ArenaState[] {
  const stretches: Block[][] = []
  let gap: Block[] = []
  let gapBytes = 0
  for (const block of arena.blocks) {
    if (!isTrained(block.parameter)) {
      gap.push(block)
      gapBytes += block.bytes
      continue
    }
    if (stretches.length && gapBytes < GAP_BYTES) stretches.at(-1)!.push(...gap, block)
    else stretches.push([block])
    gap = []
    gapBytes = 0
  }
  return stretches.map(parameters => new ArenaState(gpu, arena, states, parameters))
}
