/** The caller's end of the thread that collates: requests go out, batches come back in the same order. */
import { startThread, type Thread } from '#threads'
import * as errors from '../errors.ts'
import type { BatchOf, Inputs } from '../inputs.ts'
import type { CollateOptions } from './collate.ts'
import type { Columns } from './dataset.ts'

type Batch = BatchOf<Inputs>

/** To the worker: first what to collate from and into, then row indices and how, one message a batch. */
export type Request = { columns: Columns; inputs: Inputs } | { rows: Uint32Array; options: CollateOptions }

/** From the worker: a batch, or the error that collate ended with. */
export type Reply = { batch: Batch } | { error: { name: string; message: string; stack?: string } }

interface Pending {
  resolve(batch: Batch): void
  reject(error: Error): void
}

export class CollateThread {
  readonly #thread: Thread
  readonly #pending: Pending[] = []
  /** Why there will be no more replies. */
  #over: Error | undefined
  #waiting = 0

  constructor(columns: Columns, inputs: Inputs) {
    this.#thread = startThread(
      reply => this.#settle(reply),
      error => this.#end(error),
    )
    // Field by field: a chunk has columns besides, which are not needed there.
    const { length, rowStart, lists, ids, floats, file, files } = columns
    this.#thread.post({ columns: { length, rowStart, lists, ids, floats, file, files }, inputs })
  }

  /** Requests a batch. What goes wrong with it is thrown by {@link wait}. */
  collate(rows: Uint32Array, options: CollateOptions): Promise<Batch> {
    const reply = new Promise<Batch>((resolve, reject) => {
      if (this.#over) reject(this.#over)
      else this.#pending.push({ resolve, reject })
    })
    // Its error counts when the batch is due, and not at all if the caller stops before: it is no unhandled rejection.
    reply.catch(() => {})
    // A copy: a view would take the whole order along.
    this.#thread.post({ rows: rows.slice(), options })
    return reply
  }

  /** Waits for a batch, and keeps the process from ending meanwhile. */
  async wait(reply: Promise<Batch>): Promise<Batch> {
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
    if ('batch' in reply) pending?.resolve(reply.batch)
    else pending?.reject(restore(reply.error))
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
