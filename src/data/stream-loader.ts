/** Batches of a stream: windows are read ahead in a thread of their own, batches collated as a loader of rows in memory does. */
import { spareCore } from '#threads'
import { COUNT, expectFlag, expectNumber, expectOptions, NATURAL } from '../check.ts'
import { KernelgradError } from '../errors.ts'
import { type BatchOf, checkInputs, type Input, type Inputs } from '../inputs.ts'
import { expectInputs } from './check-columns.ts'
import { type CollateOptions, collate } from './collate.ts'
import type { Columns } from './dataset.ts'
import { joinColumns } from './join-columns.ts'
import type { Part } from './lists.ts'
import { checkPart } from './loader.ts'
import { LoaderThread } from './loader-thread.ts'
import { pickRows } from './pick-rows.ts'
import { expectStreamed, type StreamedDataset } from './stream.ts'
import { cutsOf, type StreamWindow, windowsOf } from './stream-plan.ts'
import { WindowReader, type WindowRequest, type WindowRows } from './stream-reader.ts'

/** How a loader of a stream makes its batches. */
export interface StreamLoaderOptions extends Omit<CollateOptions, 'epoch'> {
  /** Rows a batch; only the end of an epoch has fewer. */
  batchSize: number
  /** Whether row groups and rows come in an order that seed and epoch decide, or as they stand in the files. Default true. */
  shuffle?: boolean
  /** Which share of the rows this process has, of several that train together: each row comes to one of them, and all have as many batches. */
  part?: Part
  /** Collate in a thread of its own, as {@link createLoader}; windows are read in another in any case. */
  worker?: boolean
  /** Gets the rows of every window before its batches. */
  onWindow?: (rows: Columns) => void
}

/** Hands out the batches of a stream. */
export interface StreamLoader<B = BatchOf<Inputs>> {
  /** Batches of an epoch. */
  readonly count: number
  /**
   * An epoch's batches.
   * @param options.first Number of the batch to start with; row groups before it are not read.
   * @throws DataError naming file and row group for a file that has gone or changed; as collate and loadDataset for what it holds
   */
  batches(options?: { first?: number; epoch?: number }): AsyncGenerator<B, undefined>
  /** Ends the threads. */
  close(): Promise<void>
}

const KNOWN = ['batchSize', 'shuffle', 'seed', 'truncate', 'part', 'worker', 'onWindow']
/** Batches on their way, as a loader has them. */
const AHEAD = 8

/**
 * A loader of a stream. Close it when done.
 * @throws ConfigError for an option that is unknown or out of range; DataError for rows that ranks cannot share
 *
 * @example
 * ```ts
 * import { createStreamLoader, isStreamed, openDataset } from 'kernelgrad/data'
 *
 * const rows = await openDataset('clicks/', { inputs: model.inputs, memory: '2GB' })
 * if (isStreamed(rows)) {
 *   const loader = createStreamLoader(rows, model.inputs, { batchSize: 64, seed: 42 })
 *   for await (const batch of loader.batches({ epoch: 0 })) console.log(batch.size)
 *   await loader.close()
 * }
 * ```
 */
export function createStreamLoader<I extends { [K in keyof I]: Input }>(
  data: StreamedDataset,
  inputs: I,
  given: StreamLoaderOptions,
): StreamLoader<BatchOf<I>> {
  expectStreamed('createStreamLoader', data)
  checkInputs('createStreamLoader', inputs)
  expectInputs('createStreamLoader', data.head, inputs)
  expectOptions('createStreamLoader: options', given, KNOWN)
  const { batchSize, shuffle = true, seed = 0, truncate = false, part, worker = spareCore, onWindow } = given
  expectNumber('createStreamLoader: batchSize', batchSize, COUNT)
  expectNumber('createStreamLoader: seed', seed, NATURAL)
  for (const [name, flag] of Object.entries({ shuffle, truncate, worker }))
    expectFlag(`createStreamLoader: ${name}`, flag)
  if (part !== undefined) checkPart('createStreamLoader', part)
  const cuts = cutsOf(data.length, batchSize, part)
  const how = { shuffle, seed, windowBytes: data.windowBytes, part }
  const windows = windowSource(data)
  const thread = worker ? new LoaderThread() : undefined
  let closed = false
  /** The first window of the epoch to come, which is read while the last one of an epoch is used. */
  let coming: { epoch: number; rows: Promise<WindowRows> } | undefined

  async function* batches({ first = 0, epoch = 0 } = {}): AsyncGenerator<BatchOf<I>, undefined> {
    expectNumber('batches: first', first, NATURAL)
    expectNumber('batches: epoch', epoch, NATURAL)
    const options = { truncate, seed, epoch }
    const plan = windowsOf(data.groups, epoch, how)
    let batch = first
    let at = cuts.startOf(Math.min(first, cuts.count))
    /** Rows of a batch that the next window completes. */
    let begun: Columns | undefined
    const request = (window: StreamWindow, epoch: number) => windows.read({ window, epoch, shuffle, seed })
    let next = coming?.epoch === epoch && at === 0 ? coming.rows : undefined
    coming = undefined
    for (const [w, window] of plan.entries()) {
      const end = window.start + window.rows
      if (end <= at || batch >= cuts.count) continue
      next ??= request(window, epoch)
      const { columns, order } = await windows.wait(next)
      if (closed) throw new KernelgradError('the loader is closed, and a batch is asked for')
      if (plan[w + 1]) next = request(plan[w + 1]!, epoch)
      else coming = { epoch: epoch + 1, rows: request(windowsOf(data.groups, epoch + 1, how)[0]!, epoch + 1) }
      onWindow?.(columns)
      const rowsTo = (to: number) => order.subarray(at - window.start, to - window.start)
      const whole = (i: number) => i < cuts.count && cuts.startOf(i + 1) <= end
      if (begun) {
        const to = Math.min(cuts.startOf(batch + 1), end)
        begun = joinColumns([begun, pickRows(columns, rowsTo(to))])
        at = to
        if (at < cuts.startOf(batch + 1)) continue
        batch++
        yield collate(begun, indices(begun.length), inputs, options) as BatchOf<I>
        begun = undefined
      }
      thread?.take(columns, inputs)
      const ahead: Promise<BatchOf<I>>[] = []
      let asked = batch
      for (; whole(batch); batch++) {
        if (closed) throw new KernelgradError('the loader is closed, and a batch is asked for')
        if (!thread) {
          const rows = rowsTo(cuts.startOf(batch + 1))
          at = cuts.startOf(batch + 1)
          yield collate(columns, rows, inputs, options) as BatchOf<I>
          continue
        }
        if (ahead.length <= AHEAD / 2)
          for (; asked < batch + AHEAD && whole(asked); asked++) {
            const rows = rowsTo(cuts.startOf(asked + 1))
            at = cuts.startOf(asked + 1)
            ahead.push(thread.collate(rows as Uint32Array<ArrayBuffer>, options) as Promise<BatchOf<I>>)
          }
        yield await thread.wait(ahead.shift()!)
      }
      if (at < end) {
        begun = pickRows(columns, rowsTo(end))
        at = end
      }
    }
  }
  return {
    count: cuts.count,
    batches,
    async close() {
      closed = true
      await Promise.all([thread?.close(), windows.close()])
    },
  }
}

const indices = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => i)

interface WindowSource {
  read(request: WindowRequest): Promise<WindowRows>
  wait(reply: Promise<WindowRows>): Promise<WindowRows>
  close(): Promise<void>
}

/** Windows by a thread; by the caller's own where strings are made tokens, as a function does it. */
function windowSource({ marks, reading }: StreamedDataset): WindowSource {
  if (readsText(reading.inputs)) {
    const reader = new WindowReader(marks, reading)
    const read = (request: WindowRequest) => {
      const rows = reader.read(request)
      rows.catch(() => {}) // It counts when it is waited for.
      return rows
    }
    return { read, wait: reply => reply, close: async () => {} }
  }
  const thread = new LoaderThread()
  thread.open(marks, reading)
  return {
    read: request => thread.read(request),
    wait: reply => thread.wait(reply),
    close: () => thread.close(),
  }
}

const readsText = (inputs: Inputs): boolean =>
  Object.values(inputs).some(
    input => input.kind === 'text' && input.columns.some(({ dtype }) => dtype === 'text'),
  )
