import { expectClose } from '../../src/testing/index.ts'

const SEED = Number(process.env.KERNELGRAD_SEED ?? Date.now() % 2 ** 32)
console.log(`KERNELGRAD_SEED=${SEED}`)
let state = SEED >>> 0

/** n numbers in (-1, 1), other ones in every run; KERNELGRAD_SEED repeats a run. Mulberry32. */
export function random(n: number): Float64Array {
  return Float64Array.from({ length: n }, () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 31 - 1
  })
}

/** The largest error, over the largest expected value, is at most `bound`; NaN is never close. */
export const close = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: number,
  label: string,
): void => expectClose(actual, expected, bound, { label })

/** Σ a b: turns an output into the loss whose gradient by that output is b. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0
  for (let i = 0; i < b.length; i++) total += a[i]! * b[i]!
  return total
}

const H = 1e-5

/** `gradient` is that of `loss` at x, by central differences of every element. */
export function checkGradient(
  what: string,
  loss: (x: Float64Array) => number,
  x: Float64Array,
  gradient: ArrayLike<number>,
): void {
  const differences = x.map((_, i) => {
    const [above, below] = [Float64Array.from(x), Float64Array.from(x)]
    above[i]! += H
    below[i]! -= H
    return (loss(above) - loss(below)) / (2 * H)
  })
  close(gradient, differences, 1e-6, what)
}
