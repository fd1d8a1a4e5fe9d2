/** Ranks inside one process: for tests, and to see what several processes would do. */
import { expectFunction, expectNumber, type Range } from '../check.ts'
import { RankError } from '../errors.ts'
import { ranksOver } from './collectives.ts'
import { expectAlike, type Head, type Link } from './link.ts'
import type { Ranks } from './ranks.ts'

/** As many as anybody waits for in one process. */
const SIZE: Range = {
  says: 'a whole number from 1 to 4096',
  takes: n => Number.isSafeInteger(n) && n >= 1 && n <= 4096,
}

/** What a rank has brought to a trade, and how it is told the outcome. */
interface Seat {
  head: Head
  parts: readonly Uint8Array[]
  into: readonly (Uint8Array | undefined)[]
  resolve: (parts: Uint8Array[]) => void
  reject: (error: RankError) => void
}

/** Where the ranks of one process meet. */
class Room {
  readonly seats: (Seat | undefined)[]
  /** Why a rank takes part no more, by rank. */
  readonly left: (string | undefined)[]
  failed: RankError | undefined

  constructor(size: number) {
    this.seats = Array(size).fill(undefined)
    this.left = Array(size).fill(undefined)
  }

  link(rank: number): Link {
    return {
      rank,
      size: this.seats.length,
      trade: (head, parts, into = []) =>
        new Promise((resolve, reject) => {
          if (this.failed) return reject(this.failed)
          this.seats[rank] = { head, parts, into, resolve, reject }
          this.settle()
        }),
      fail: reason => this.fail(rank, `rank ${rank}: ${reason}`),
      leave: async () => this.leave(rank, 'has closed'),
    }
  }

  fail(rank: number, message: string): RankError {
    this.failed ??= new RankError(message, { rank })
    for (const [at, seat] of this.seats.entries()) {
      this.seats[at] = undefined
      seat?.reject(this.failed)
    }
    return this.failed
  }

  leave(rank: number, why: string): void {
    this.left[rank] ??= why
    this.settle()
  }

  /** Hands out what was brought once all are there; ends it where one never will be. */
  settle(): void {
    const gone = this.left.findIndex(why => why !== undefined)
    const waits = this.seats.findIndex(seat => seat !== undefined)
    if (gone >= 0 && waits >= 0) {
      const { operation } = (this.seats[waits] as Seat).head
      this.fail(gone, `rank ${gone} ${this.left[gone]}, and rank ${waits} waits for it in ${operation}`)
      return
    }
    if (this.seats.includes(undefined)) return
    const seats = [...this.seats] as Seat[]
    try {
      expectAlike(seats.map(({ head }) => head))
    } catch (error) {
      if (!(error instanceof RankError)) throw error
      this.fail(error.rank, error.message)
      return
    }
    // All are copied before any rank goes on, since it may then change what it gave.
    const got = seats.map(({ into, parts }, to) =>
      seats.map(({ parts: given }, from) => {
        if (from === to) return parts[to] as Uint8Array
        const part = given[to] as Uint8Array
        const place = into[from]
        if (!place) return part.slice()
        place.set(part)
        return place
      }),
    )
    this.seats.fill(undefined)
    for (const [to, { resolve }] of seats.entries()) resolve(got[to] as Uint8Array[])
  }
}

/**
 * As many ranks in this process, by number. Each is to be used by a function of its own, all of which run side by side, as
 * `Promise.all(localRanks(2).map(train))`; `runLocal` also tells the others when one of them fails. They move and add the very bytes that
 * ranks over MPI do.
 *
 * @throws ConfigError unless `size` is a whole number of at least 1
 */
export function localRanks(size: number): Ranks[] {
  return open(size).ranks
}

/**
 * Runs `body` once for each of `size` ranks in this process, side by side. Where one throws, calls of the others fail with its reason; where
 * one returns and another still waits for it, that is an error too: nothing waits for ever.
 *
 * @returns what each rank returned, by rank
 * @throws ConfigError, ArgumentError for wrong arguments; otherwise what the first rank to fail has thrown, once all have ended
 */
export async function runLocal<T>(size: number, body: (ranks: Ranks) => Promise<T> | T): Promise<T[]> {
  const { room, ranks } = open(size)
  expectFunction('runLocal: body', body)
  let thrown: { error: unknown } | undefined
  const results = await Promise.all(
    ranks.map(async mine => {
      try {
        const result = await body(mine)
        room.leave(mine.rank, 'has ended')
        return result
      } catch (error) {
        thrown ??= { error }
        room.fail(mine.rank, `rank ${mine.rank}: ${error instanceof Error ? error.message : String(error)}`)
        return undefined
      }
    }),
  )
  if (thrown) throw thrown.error
  return results as T[]
}

function open(size: number) {
  expectNumber('localRanks: size', size, SIZE)
  const room = new Room(size)
  return { room, ranks: Array.from({ length: size }, (_, rank) => ranksOver(room.link(rank))) }
}
