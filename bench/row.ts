// What a row of the kernel benchmark is, and the memory its setup takes.
import type { Gpu, View } from '../src/gpu/index.ts'
import { generator } from '../src/testing/index.ts'

/** Device memory of `n` 4-byte elements that a job writes. */
export interface Output {
  view: View
  n: number
}

/** A row made ready: `run` records one launch of the work, any number of times. */
export interface Job {
  run(): void
  outputs: Output[]
  dispose(): void
}

/** One line of the table. */
export interface Row {
  /** Family and entry: 'gelu.backward'. */
  name: string
  shape: string
  /** Which form of the kernel, where it has several; else the library's name. */
  variant?: string
  /** 'f32' unless given. */
  dtype?: 'f32' | 'f16'
  /** Arithmetic operations the formula asks for; exp, log, sqrt and erf count as one each, a multiply-add as two. */
  flops: number
  /** Bytes of every operand read once and every result written once. */
  bytes: number
  setup(gpu: Gpu): Job
}

/** Seeded inputs and outputs of one job, freed together. */
export class Workspace {
  readonly #gpu: Gpu
  readonly #views: View[] = []
  readonly #next: () => number

  constructor(gpu: Gpu, seed = 1) {
    this.#gpu = gpu
    this.#next = generator(seed)
  }

  /** n float32 in [low, high). */
  floats(n: number, low = -1, high = 1): View {
    return this.put(Float32Array.from({ length: n }, () => low + (high - low) * this.#next()))
  }

  /** n uint32 below `below`. */
  uints(n: number, below: number): View {
    return this.put(Uint32Array.from({ length: n }, () => Math.floor(this.#next() * below)))
  }

  put(data: Float32Array | Uint32Array): View {
    return this.#keep(this.#gpu.from(data))
  }

  /** Memory for n elements, undefined content. */
  empty(n: number): View {
    return this.#keep(this.#gpu.acquire(n * 4))
  }

  job(run: () => void, ...outputs: Output[]): Job {
    return {
      run,
      outputs,
      dispose: () => {
        for (const view of this.#views) this.#gpu.release(view)
      },
    }
  }

  #keep(view: View): View {
    this.#views.push(view)
    return view
  }
}
