import { expectArrays } from './checks.ts'

const ROUNDS = 10
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const
// The golden ratio and √3 - 1, as 32-bit fractions.
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const

/** What, next to an element's position, picks its random number. All three are uint32. */
export interface Rng {
  seed: number
  /** Which dropout in the model: no two share a number. */
  layer: number
  step: number
}

/** The upper 32 bits of the 64-bit product of two uint32; every partial product is below 2^49, so exact. */
function multiplyHigh(a: number, b: number): number {
  const low = Math.floor((a * (b & 0xffff)) / 0x10000)
  return Math.floor((a * (b >>> 16) + low) / 0x10000)
}

/**
 * Philox 4x32-10: four random uint32 that depend on nothing but counter and key.
 *
 * Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
 * https://doi.org/10.1145/2063384.2063405; word order as in their library Random123
 *
 * @param counter 4 uint32
 * @param key 2 uint32
 * @returns 4 uint32
 */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  // Called for every four numbers: the arrays are looked at closely only where a length is wrong.
  if (counter?.length !== 4) expectArrays('philox4x32', { counter }, 4)
  if (key?.length !== 2) expectArrays('philox4x32', { key }, 2)
  let [c0, c1, c2, c3] = [counter[0]! >>> 0, counter[1]! >>> 0, counter[2]! >>> 0, counter[3]! >>> 0]
  let [k0, k1] = [key[0]! >>> 0, key[1]! >>> 0]
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIERS[0], c0)
    const low0 = Math.imul(MULTIPLIERS[0], c0)
    const high1 = multiplyHigh(MULTIPLIERS[1], c2)
    const low1 = Math.imul(MULTIPLIERS[1], c2)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + KEY_STEPS[0]) >>> 0
    k1 = (k1 + KEY_STEPS[1]) >>> 0
  }
  return Uint32Array.of(c0, c1, c2, c3)
}

/** A uint32 as a number in [0, 1): its upper 24 bits, which float32 holds exactly. */
export function uniform(u32: number): number {
  return (u32 >>> 8) * 2 ** -24
}
