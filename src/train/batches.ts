// Where the training loop gets its batches.
import { type Batch, type CollateOptions, collate, type Dataset, shuffledOrder } from '../data/index.ts'

export interface BatchOptions {
  /** Rows a batch; the last of an epoch may have fewer. */
  size: number
  /** The batch to start with, from 0: an epoch may be entered in its middle. */
  first?: number
  collating: CollateOptions
}

/** The order in which an epoch visits the rows; it depends on nothing but its arguments. */
export function epochOrder(
  rows: number,
  { shuffle, seed }: { shuffle: boolean; seed: number },
  epoch: number,
): Uint32Array {
  return shuffle ? shuffledOrder(rows, seed, epoch) : Uint32Array.from({ length: rows }, (_, i) => i)
}

/** Rows `batch * size` and on of an epoch's order, collated, one batch after the other. */
export async function* batches(
  data: Dataset,
  order: Uint32Array,
  { size, first = 0, collating }: BatchOptions,
): AsyncGenerator<Batch, undefined> {
  for (let start = first * size; start < order.length; start += size)
    yield collate(data, order.subarray(start, start + size), collating)
  return undefined
}
