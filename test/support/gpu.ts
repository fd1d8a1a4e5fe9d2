// One device per test file, with every buffer poisoned, and seeded inputs.
import { type Gpu, openGpu } from '../../src/gpu/index.ts'

/** A device whose buffers are handed out full of NaN. */
export const openTestGpu = (): Promise<Gpu> => openGpu({ poison: true })

/** Seeded numbers in [-scale, scale), the same on every machine (mulberry32). */
export function seeded(n: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  const next = generator(seed)
  return Float32Array.from({ length: n }, () => (2 * next() - 1) * scale)
}

/** Seeded integers in [0, below). */
export function seededInts(n: number, seed: number, below: number): Uint32Array<ArrayBuffer> {
  const next = generator(seed)
  return Uint32Array.from({ length: n }, () => Math.floor(next() * below))
}

export function generator(seed: number): () => number {
  let a = (seed + 0x9e3779b9) >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
