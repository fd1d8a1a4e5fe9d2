import { expectNumber, type Range, UINT32 } from '../check.ts'

/**
 * The library's host-side random numbers: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c),
 * its state filled by splitmix32 from a seed and further keys. The same keys give the same stream on every platform.
 */

const KEY: Range = { says: 'a whole number', takes: Number.isSafeInteger }

/** A stream of random numbers. */
export interface RandomStream {
  /** 32 random bits, as an unsigned number. */
  bits(): number
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number
  /** A whole number from 0 to n - 1. */
  below(n: number): number
  /** Standard normal (Box and Muller, one of the pair). */
  normal(): number
}

/** A stream for `seed` and any further keys (epoch, purpose); streams of different keys are independent. */
export function randomStream(seed: number, ...keys: number[]): RandomStream {
  for (const [i, key] of [seed, ...keys].entries())
    expectNumber(`randomStream: ${i ? `key ${i}` : 'seed'}`, key, KEY)
  let mixed = 0
  const next = () => {
    mixed = (mixed + 0x9e3779b9) | 0
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  // Both halves of each key enter, so seeds past 2^32 count in full.
  for (const key of [seed, ...keys]) {
    mixed = (next() ^ key) | 0
    mixed = (next() ^ Math.floor(key / 2 ** 32)) | 0
  }
  let [a, b, c, d] = [next(), next(), next(), next() | 1]
  const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k))
  const bits = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = rotate(d, 11)
    return result
  }
  const uniform = () => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6)) / 2 ** 53
  return {
    bits,
    uniform,
    below: n => Math.floor(uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  }
}

/** The order in which epoch `epoch` visits rows 0 … n - 1: a Fisher-Yates shuffle, the same for the same arguments. */
export function shuffledOrder(n: number, seed: number, epoch: number): Uint32Array {
  expectNumber('shuffledOrder: n', n, UINT32)
  expectNumber('shuffledOrder: seed', seed, KEY)
  expectNumber('shuffledOrder: epoch', epoch, KEY)
  return shuffled(new Uint32Array(n), randomStream(seed, epoch))
}

/** The numbers 0 … n - 1 in an order that `random` draws (Fisher and Yates), in the place given. */
export function shuffled<A extends Uint32Array>(order: A, random: RandomStream): A {
  for (let i = 0; i < order.length; i++) order[i] = i
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}
