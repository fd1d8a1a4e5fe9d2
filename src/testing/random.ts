// Seeded inputs for tests and benchmarks: the same numbers on every machine. The generator is mulberry32 (Tommy Ettinger 2017,
// 32 bits of state), started from (seed + 0x9e3779b9) mod 2^32, each word divided by 2^32.

import {
  COUNT,
  expectNumber,
  expectNumbers,
  expectOptions,
  FINITE,
  NATURAL,
  NON_NEGATIVE,
  PROBABILITY,
  UINT32,
} from '../check.ts'
import { ConfigError, ShapeError } from '../errors.ts'

/** A seed, or a generator to draw on from. */
export type Seed = number | (() => number)

/** Uniform numbers in [0, 1), one a call. */
export function generator(seed: number): () => number {
  expectNumber('generator: seed', seed, FINITE)
  let state = (seed + 0x9e3779b9) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** @throws ConfigError for a number of values, or a seed, that cannot be */
function draw(what: string, n: number, seed: Seed): () => number {
  expectNumber(`${what}: n`, n, NATURAL)
  if (typeof seed === 'function') return seed
  expectNumber(`${what}: seed`, seed, FINITE)
  return generator(seed)
}

/** n float32 in [low, high); from -1 to 1 unless given. */
export function uniform(
  n: number,
  seed: Seed,
  options: { low?: number; high?: number } = {},
): Float32Array<ArrayBuffer> {
  expectOptions('uniform: options', options, ['low', 'high'])
  const { low = -1, high = 1 } = options
  const next = draw('uniform', n, seed)
  expectNumber('uniform: low', low, FINITE)
  expectNumber('uniform: high', high, FINITE)
  if (low > high) throw new ConfigError(`uniform: low is ${low}, expected at most high, ${high}`)
  return Float32Array.from({ length: n }, () => low + (high - low) * next())
}

/** n normal float32 (Box and Muller 1958); mean 0 and standard deviation 1 unless given. */
export function normal(
  n: number,
  seed: Seed,
  options: { mean?: number; std?: number } = {},
): Float32Array<ArrayBuffer> {
  expectOptions('normal: options', options, ['mean', 'std'])
  const { mean = 0, std = 1 } = options
  const next = draw('normal', n, seed)
  expectNumber('normal: mean', mean, FINITE)
  expectNumber('normal: std', std, NON_NEGATIVE)
  return Float32Array.from({ length: n }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    return mean + std * radius * Math.cos(2 * Math.PI * next())
  })
}

/** n ids in [0, below). */
export function ids(n: number, seed: Seed, below: number): Uint32Array<ArrayBuffer> {
  const next = draw('ids', n, seed)
  expectNumber('ids: below', below, COUNT)
  return Uint32Array.from({ length: n }, () => Math.floor(next() * below))
}

/** n flags, 1 with probability `keep` and else 0: a key mask with holes. */
export function mask(n: number, seed: Seed, keep = 0.75): Uint32Array<ArrayBuffer> {
  const next = draw('mask', n, seed)
  expectNumber('mask: keep', keep, PROBABILITY)
  return Uint32Array.from({ length: n }, () => Number(next() < keep))
}

/** The numbers 0 to n - 1 in random order. */
export function permutation(n: number, seed: Seed): number[] {
  const next = draw('permutation', n, seed)
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1))
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

/** B row lengths, spread evenly over 1 to S and in random order: half of the positions of a padded batch are masked. */
export function rowLengths(B: number, S: number, seed: Seed): number[] {
  expectNumber('rowLengths: S', S, COUNT)
  return permutation(B, draw('rowLengths', B, seed)).map(i => 1 + Math.floor(((i + 0.5) * S) / B))
}

/** [B + 1], where rows of these lengths start when they are packed, and their total T at the end. */
export function cuSeqlens(lengths: readonly number[]): Uint32Array<ArrayBuffer> {
  expectNumbers('cuSeqlens: lengths', lengths, NATURAL)
  const starts = new Uint32Array(lengths.length + 1)
  let total = 0
  for (let i = 0; i < lengths.length; i++) starts[i + 1] = total += lengths[i]!
  expectNumber('cuSeqlens: the sum of lengths', total, UINT32)
  return starts
}

/** [T], the row of each packed token. */
export function rowIds(cuSeqlens: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  expectNumbers('rowIds: cuSeqlens', cuSeqlens, UINT32)
  for (let b = 0; b < Math.max(cuSeqlens.length, 1); b++)
    if (b === 0 ? cuSeqlens[0] !== 0 : cuSeqlens[b]! < cuSeqlens[b - 1]!)
      throw new ShapeError(
        `rowIds: cuSeqlens[${b}] is ${cuSeqlens[b]}, expected ${b ? `at least ${cuSeqlens[b - 1]}, the one before` : '0'}`,
      )
  const rows = new Uint32Array(cuSeqlens[cuSeqlens.length - 1]!)
  for (let b = 0; b + 1 < cuSeqlens.length; b++) rows.fill(b, cuSeqlens[b]!, cuSeqlens[b + 1]!)
  return rows
}
