// One device per test file, with every buffer poisoned, and seeded inputs.
import { type Gpu, type GpuOptions, openGpu } from '../../src/gpu/index.ts'
import { uniform } from '../../src/testing/index.ts'

export { generator, ids as seededInts } from '../../src/testing/index.ts'

/** A device whose buffers are handed out full of NaN; without subgroups where KERNELGRAD_SUBGROUPS is 'off'. */
export const openTestGpu = (options: GpuOptions = {}): Promise<Gpu> =>
  openGpu({ poison: true, subgroups: process.env.KERNELGRAD_SUBGROUPS !== 'off', ...options })

/** Seeded numbers in [-scale, scale), the same on every machine. */
export const seeded = (n: number, seed: number, scale = 1): Float32Array<ArrayBuffer> =>
  uniform(n, seed, { low: -scale, high: scale })
