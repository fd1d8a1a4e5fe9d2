import { shuffledOrder } from '../data/index.ts'

/** The order in which an epoch visits the rows; it depends on nothing but its arguments. */
export function epochOrder(
  rows: number,
  { shuffle, seed }: { shuffle: boolean; seed: number },
  epoch: number,
): Uint32Array {
  return shuffle ? shuffledOrder(rows, seed, epoch) : Uint32Array.from({ length: rows }, (_, i) => i)
}
