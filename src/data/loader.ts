/**
 * Batches in an order given, collated ahead of the loop that takes them: in a thread of their own, which reads the
 * dataset's shared memory and hands each batch over without a copy, or in the thread of the caller.
 */
import { spareCore } from '#threads'
import { COUNT, expectFlag, expectNumber, expectOptions, NATURAL, shown } from '../check.ts'
import { ArgumentError, KernelgradError } from '../errors.ts'
import { type BatchOf, checkInputs, type Input, type Inputs } from '../inputs.ts'
import { checkCollateOptions, checkColumns, expectInputs } from './check-columns.ts'
import { type CollateOptions, collate } from './collate.ts'
import type { Columns } from './dataset.ts'
import { batchStarts, type Part, partOf, unitsOf } from './lists.ts'
import { LoaderThread } from './loader-thread.ts'

/** How a loader makes its batches. */
export interface LoaderOptions extends Omit<CollateOptions, 'epoch'> {
  /** Rows a batch, lists where the inputs have a `list`; the last one of an order has what is left. */
  batchSize: number
  /**
   * About so many rows a batch in place of so many lists, where the inputs have a `list`: lists stay whole, and batches differ by less than one.
   */
  batchRows?: number | null
  /**
   * Of each batch, the consecutive rows of one of several processes, by its number from 0 and how many there are; `batchSize` counts the rows of all of
   * them. One that gets none of a batch is handed its first row, or list, which another has too: it is to count for nothing.
   */
  part?: { rank: number; size: number }
  /**
   * Collate in a thread of its own; columns that are not in shared memory are copied to it. Default: in Node with more
   * than two cores.
   */
  worker?: boolean
}

/** Hands out batches of one dataset; the same batches, to the byte, with a worker and without. */
export interface Loader<B = BatchOf<Inputs>> {
  /**
   * The batches of `order`, row indices of the dataset, cut every `batchSize` rows. Where the inputs have a `list`, it is numbers of lists, which
   * stand in the order of their first rows, cut every `batchSize` lists.
   * @param options.first Number of the batch to start with, to resume in the middle.
   * @param options.epoch What is drawn anew each epoch follows from it, and from the loader's seed.
   * @throws DataError as collate, when the batch at fault is asked for; batches before it are handed out.
   */
  batches(order: Uint32Array, options?: { first?: number; epoch?: number }): AsyncGenerator<B, undefined>
  /** Ends the worker. A batch that is still waited for, or asked for later, is an error. */
  close(): Promise<void>
}

/** Most batches that are on their way. They are asked for in halves of it: a worker woken less often disturbs less. */
const AHEAD = 8

/**
 * A loader of `columns`. Close it when done: until then the worker keeps its memory, yet does not keep the process alive.
 * @throws ConfigError for a batch size that is no positive whole number.
 *
 * @example
 * ```ts
 * import { createLoader, shuffledOrder } from 'kernelgrad/data'
 *
 * const loader = createLoader(dataset, model.inputs, { batchSize: 64 })
 * for await (const batch of loader.batches(shuffledOrder(dataset.length, 42, 0))) console.log(batch.size)
 * await loader.close()
 * ```
 */
export function createLoader<I extends { [K in keyof I]: Input }>(
  columns: Columns,
  inputs: I,
  given: LoaderOptions,
): Loader<BatchOf<I>> {
  checkColumns('createLoader', columns)
  checkInputs('createLoader', inputs)
  expectInputs('createLoader', columns, inputs)
  checkCollateOptions('createLoader', given, ['truncate', 'seed', 'batchSize', 'batchRows', 'part', 'worker'])
  const { batchSize, batchRows = null, part, worker = spareCore, ...options } = given
  expectNumber('createLoader: batchSize', batchSize, COUNT)
  if (batchRows !== null) expectNumber('createLoader: batchRows', batchRows, COUNT)
  if (part !== undefined) checkPart('createLoader', part)
  expectFlag('createLoader: worker', worker)
  const units = unitsOf(columns, inputs)
  const size = { batchSize, batchRows }
  batchStarts(units, new Uint32Array(0), size) // and is refused where it cannot be
  const thread = worker ? new LoaderThread() : undefined
  thread?.take(columns, inputs)
  let closed = false
  async function* batches(
    order: Uint32Array,
    { first = 0, epoch = 0 } = {},
  ): AsyncGenerator<BatchOf<I>, undefined> {
    if (!(order instanceof Uint32Array))
      throw new ArgumentError(`batches: order is ${shown(order)}, expected a Uint32Array of row numbers`)
    expectNumber('batches: first', first, NATURAL)
    const how = { ...options, epoch }
    const starts = batchStarts(units, order, size)
    const count = starts.length - 1
    const rows = (i: number) => {
      const batch = order.subarray(starts[i], starts[i + 1])
      const own = part ? partOf(batch, part) : batch
      return units.rowsOf(own.length ? own : batch.subarray(0, 1))
    }
    const ahead: Promise<BatchOf<I>>[] = []
    for (let i = first; i < count; i++) {
      if (closed) throw new KernelgradError('the loader is closed, and a batch is asked for')
      if (thread) {
        if (ahead.length <= AHEAD / 2) {
          const end = Math.min(i + AHEAD, count)
          for (let next = i + ahead.length; next < end; next++)
            ahead.push(thread.collate(rows(next), how) as Promise<BatchOf<I>>)
        }
        yield (await thread.wait(ahead.shift()!)) as BatchOf<I>
      } else {
        yield collate(columns, rows(i), inputs, how) as BatchOf<I>
      }
    }
  }
  return {
    batches,
    async close() {
      closed = true
      await thread?.close()
    },
  }
}

/** @throws ConfigError for a process that cannot be */
export function checkPart(where: string, part: Part): void {
  expectOptions(`${where}: part`, part, ['rank', 'size'])
  const { rank, size } = part
  expectNumber(`${where}: part.size`, size, COUNT)
  expectNumber(`${where}: part.rank`, rank, {
    says: `a whole number from 0 to ${size - 1}`,
    takes: x => Number.isInteger(x) && x >= 0 && x < size,
  })
}
