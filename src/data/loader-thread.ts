/** The caller's end of a thread that collates, or reads windows: requests go out, batches or rows come back in the same order. */
import { startThread, type Thread } from '#threads'
import * as errors from '../errors.ts'
import type { BatchOf, Inputs } from '../inputs.ts'
import type { CollateOptions } from './collate.ts'
import type { Columns } from './dataset.ts'
import type { FileMark, StreamReading, WindowRequest, WindowRows } from './stream-reader.ts'

type Batch = BatchOf<Inputs>

/**
 * To the worker: what to collate from and into, then row indices and how, one message a batch. Or what to read of which files, then windows of
 * rows, one message each.
 */
export type Request =
  | { columns: Columns; inputs: Inputs }
  | { rows: Uint32Array; options: CollateOptions }
  | { marks: readonly FileMark[]; reading: StreamReading }
  | { window: WindowRequest }

/** From the worker: a batch, a window's rows, or the error that making it ended with. */
export type Reply =
  | { batch: Batch }
  | { read: WindowRows }
  | { error: { name: string; message: string; stack?: string } }

interface Pending {
  resolve(reply: Exclude<Reply, { error: unknown }>): void
  reject(error: Error): void
}

export class LoaderThread {
  readonly #thread: Thread
  readonly #pending: Pending[] = []
  /** Why there will be no more replies. */
  #over: Error | undefined
  #waiting = 0

  constructor() {
    this.#thread = startThread(
      reply => this.#settle(reply),
      error => this.#end(error),
    )
  }

  /** What batches that are requested from now on are made of. */
  take(columns: Columns, inputs: Inputs): void {
    // Field by field: a chunk has columns besides, which are not needed there.
    const { length, rowStart, lists, ids, floats, file, files, parts } = columns
    this.#thread.post({ columns: { length, rowStart, lists, ids, floats, file, files, parts }, inputs })
  }

  /** Requests a batch. What goes wrong with it is thrown by {@link wait}. */
  collate(rows: Uint32Array, options: CollateOptions): Promise<Batch> {
    // A copy: a view would take the whole order along.
    return this.#request({ rows: rows.slice(), options }, reply => (reply as { batch: Batch }).batch)
  }

  /** Which files windows are read of. */
  open(marks: readonly FileMark[], reading: StreamReading): void {
    const { inputs, trainOnly } = reading
    this.#thread.post({ marks, reading: { inputs, trainOnly } })
  }

  /** Requests a window's rows; as {@link collate}. */
  read(window: WindowRequest): Promise<WindowRows> {
    return this.#request({ window }, reply => (reply as { read: WindowRows }).read)
  }

  #request<T>(request: Request, take: (reply: Exclude<Reply, { error: unknown }>) => T): Promise<T> {
    const reply = new Promise<T>((resolve, reject) => {
      if (this.#over) reject(this.#over)
      else this.#pending.push({ resolve: reply => resolve(take(reply)), reject })
    })
    // Its error counts when the batch is due, and not at all if the caller stops before: it is no unhandled rejection.
    reply.catch(() => {})
    this.#thread.post(request)
    return reply
  }

  /** Waits for a reply, and keeps the process from ending meanwhile. */
  async wait<T>(reply: Promise<T>): Promise<T> {
    this.#thread.poll()
    if (this.#waiting++ === 0) this.#thread.hold(true)
    try {
      return await reply
    } finally {
      if (--this.#waiting === 0) this.#thread.hold(false)
    }
  }

  async close(): Promise<void> {
    this.#end(new errors.KernelgradError('the loader was closed while a batch was waited for'))
    // Held until it has ended, also by a wait that ends now: else the process might end before the caller goes on.
    if (this.#waiting++ === 0) this.#thread.hold(true)
    await this.#thread.terminate()
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.shift()
    if ('error' in reply) pending?.reject(restore(reply.error))
    else pending?.resolve(reply)
  }

  #end(error: Error): void {
    this.#over ??= error
    for (const { reject } of this.#pending.splice(0)) reject(this.#over)
  }
}

const CLASSES: Record<string, new (message: string) => Error> = { ...errors, RangeError, TypeError }

/** An error as it was thrown, by its class. */
function restore({ name, message, stack }: { name: string; message: string; stack?: string }): Error {
  const error = new (CLASSES[name] ?? Error)(message)
  if (stack) error.stack = stack
  return error
}
