// What ranks are given in tests, and what must come of it.
import { generator } from '../../src/testing/random.ts'

/** Values of many sizes and signs, so that the order in which they are added shows in the last bits. */
export function seededValues(length: number, seed: number): Float32Array {
  const next = generator(seed)
  return Float32Array.from({ length }, () => (next() - 0.5) * 10 ** Math.floor(next() * 8 - 4))
}

/** ((a + b) + c) + …, each sum rounded to float32. */
export function sumInOrder(all: readonly Float32Array[]): Float32Array {
  return (all[0] as Float32Array).map((first, i) =>
    all.slice(1).reduce((sum, values) => Math.fround(sum + (values[i] as number)), first),
  )
}
