// Calls that wait to be scored, cut into pieces and gathered into batches: first come, first served, and none waits for company that need not.

import type { Columns } from '../data/index.ts'
import { joinColumns } from '../data/join-columns.ts'
import { QueueFullError } from '../errors.ts'
import { type Row, sliceColumns } from './rows.ts'

/** A call's rows and where its scores go. */
interface Call {
  /** [rows, K], filled piece by piece. */
  scores: Float32Array<ArrayBuffer> | undefined
  rows: number
  /** Rows that have no score yet. */
  left: number
  /** Answered, failed or given up: what is left of it is passed over. */
  ended: boolean
  resolve(scores: Float32Array<ArrayBuffer>): void
  reject(error: unknown): void
}

/** Rows of one call that are scored together. */
interface Piece<S> {
  call: Call
  /** Where its scores go in the call's. */
  first: number
  /** As they came: another model may have to read them. */
  rows: readonly Row[]
  columns: Columns
  /** What read them, and is to score them. */
  source: S
}

/** What does the work. */
export interface Work<S> {
  /** Rows a batch at most. */
  batch: number
  /** Rows that may wait at most; a call that finds nothing waiting is taken in any case. */
  queue: number
  /** Milliseconds that a batch which is not full waits for company. */
  wait: number
  /** [rows, K]. */
  score(source: S, columns: Columns): Promise<Float32Array<ArrayBuffer>>
  /** After a batch has failed: what scores its rows now, undefined where nothing helps and the calls are to be told. */
  recover(source: S, error: unknown): Promise<S | undefined>
  /** Rows as another source reads them. */
  read(source: S, rows: readonly Row[]): Columns
  /** A source has as many pieces more, or fewer. */
  uses(source: S, pieces: number): void
}

/** Counts since the start, and what waits now. */
export interface QueueCounts {
  /** Rows that wait or are being scored. */
  waiting: number
  /** Calls that were taken, rows that were scored, batches that they made. */
  calls: number
  rows: number
  batches: number
}

/** Batches one after the other; what comes meanwhile makes the next. */
export class BatchQueue<S> {
  readonly #work: Work<S>
  #pieces: Piece<S>[] = []
  #running: Promise<void> | undefined
  readonly counts: QueueCounts = { waiting: 0, calls: 0, rows: 0, batches: 0 }

  constructor(work: Work<S>) {
    this.#work = work
  }

  /**
   * The scores of rows that are read, once they are there.
   * @param signal gives them up: their place is free for others, and the call fails with its reason.
   * @throws QueueFullError where too many rows wait already
   */
  add(
    source: S,
    rows: readonly Row[],
    columns: Columns,
    signal?: AbortSignal,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { batch, queue } = this.#work
    const { counts } = this
    if (counts.waiting && counts.waiting + rows.length > queue)
      throw new QueueFullError(
        `${counts.waiting} rows wait to be scored, and ${rows.length} more would be over ${queue} (queue); try again later`,
      )
    return new Promise((resolve, reject) => {
      const length = rows.length
      const give = () => this.#end(call, () => reject(signal!.reason))
      const call: Call = {
        scores: undefined,
        rows: length,
        left: length,
        ended: false,
        resolve: scores => {
          signal?.removeEventListener('abort', give)
          resolve(scores)
        },
        reject: error => {
          signal?.removeEventListener('abort', give)
          reject(error)
        },
      }
      counts.calls++
      counts.waiting += length
      for (let first = 0; first < length; first += batch) {
        const end = Math.min(first + batch, length)
        const part = sliceColumns(columns, first, end)
        this.#pieces.push({ call, first, rows: rows.slice(first, end), columns: part, source })
        this.#work.uses(source, 1)
      }
      if (signal?.aborted) give()
      else signal?.addEventListener('abort', give, { once: true })
      this.#start()
    })
  }

  /** Resolves when nothing waits and nothing is being scored. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running
  }

  #end(call: Call, tell: () => void): void {
    if (call.ended) return
    call.ended = true
    this.counts.waiting -= call.left
    tell()
  }

  #start(): void {
    if (this.#running) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.#pieces.length) this.#start()
    })
  }

  async #run(): Promise<void> {
    await undefined // calls that are made together share a batch
    const { wait, batch } = this.#work
    while (this.#pieces.length) {
      if (wait && this.counts.waiting < batch) await new Promise(resolve => setTimeout(resolve, wait))
      const pieces = this.#take()
      if (pieces.length) await this.#score(pieces)
    }
  }

  /** The next batch, of one source; pieces of calls that have ended are dropped. */
  #take(): Piece<S>[] {
    const { batch, uses } = this.#work
    const taken: Piece<S>[] = []
    let [at, rows] = [0, 0]
    for (; at < this.#pieces.length; at++) {
      const piece = this.#pieces[at]!
      if (piece.call.ended) {
        uses(piece.source, -1)
        continue
      }
      if (taken.length && (piece.source !== taken[0]!.source || rows + piece.rows.length > batch)) break
      taken.push(piece)
      rows += piece.rows.length
    }
    this.#pieces.splice(0, at)
    return taken
  }

  async #score(pieces: Piece<S>[]): Promise<void> {
    const { score, recover, uses } = this.#work
    const { source } = pieces[0]!
    try {
      const scores = await score(source, joinColumns(pieces.map(({ columns }) => columns)))
      this.#answer(pieces, scores)
    } catch (error) {
      let next: S | undefined
      try {
        next = await recover(source, error)
      } catch (failure) {
        this.#fail(pieces, failure)
        return
      }
      if (next !== undefined) this.#pieces = [...this.#moved(pieces, next), ...this.#pieces]
      // Nothing of a batch may fail for another's rows.
      else if (pieces.length > 1) for (const piece of pieces) await this.#score([piece])
      else this.#fail(pieces, error)
      return
    }
    for (const piece of pieces) uses(piece.source, -1)
  }

  /** The same pieces as `source` reads them. */
  #moved(pieces: readonly Piece<S>[], source: S): Piece<S>[] {
    const { read, uses } = this.#work
    return pieces.flatMap(piece => {
      uses(piece.source, -1)
      try {
        const columns = read(source, piece.rows)
        uses(source, 1)
        return [{ ...piece, columns, source }]
      } catch (error) {
        this.#end(piece.call, () => piece.call.reject(error))
        return []
      }
    })
  }

  #answer(pieces: readonly Piece<S>[], scores: Float32Array<ArrayBuffer>): void {
    const { counts } = this
    const rows = pieces.reduce((sum, piece) => sum + piece.rows.length, 0)
    const K = scores.length / rows
    counts.batches++
    counts.rows += rows
    let at = 0
    for (const { call, first, rows } of pieces) {
      const own = scores.subarray(at * K, (at + rows.length) * K)
      at += rows.length
      if (call.ended) continue
      call.scores ??= new Float32Array(call.rows * K)
      call.scores.set(own, first * K)
      call.left -= rows.length
      counts.waiting -= rows.length
      if (call.left) continue
      call.ended = true
      call.resolve(call.scores)
    }
  }

  #fail(pieces: readonly Piece<S>[], error: unknown): void {
    for (const { call, source } of pieces) {
      this.#work.uses(source, -1)
      this.#end(call, () => call.reject(error))
    }
  }
}
