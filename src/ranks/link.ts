// What carries bytes between ranks. Everything else of `Ranks` is made of it (collectives.ts), so that it does the same, to the bit,
// in one process and over MPI.
import { RankError } from '../errors.ts'

export const OPERATIONS = ['sum', 'gather', 'exchange', 'barrier', 'close'] as const
export type Operation = (typeof OPERATIONS)[number]

/** What each rank tells all others before anything is moved: a call is right only where they agree. */
export interface Head {
  /** Which trade of this rank it is, from 0. */
  call: number
  operation: Operation
  /** Values that are summed; 0 where ranks may give as much as they like. */
  length: number
}

/** A rank's way to all ranks. */
export interface Link {
  readonly rank: number
  readonly size: number
  /**
   * `parts[r]` goes to rank r. What each rank sent here comes into `into[r]` where that is given, and into memory of its own elsewhere;
   * this rank's own part is the same array. Ends when all have come; the trades of a rank follow one another.
   * @throws RankError where a head differs (`expectAlike`), or where a rank has failed or left
   */
  trade(
    head: Head,
    parts: readonly Uint8Array[],
    into?: readonly (Uint8Array | undefined)[],
  ): Promise<Uint8Array[]>
  /** Tells every rank why they end; every call, under way or to come, fails with it, on this rank too. Returns that error. */
  fail(reason: string): RankError
  /** After the last trade, on all ranks. */
  leave(): Promise<void>
}

/** @throws RankError where ranks called different things, naming the first that differs from rank 0 */
export function expectAlike(heads: readonly Head[]): void {
  const [first] = heads as [Head]
  heads.forEach(({ call, operation, length }, rank) => {
    const says = (what: string) =>
      new RankError(`${what}; every rank makes the same calls in the same order`, { rank })
    if (operation !== first.operation)
      throw says(`rank 0 calls ${first.operation}, rank ${rank} calls ${operation}`)
    if (length !== first.length)
      throw says(`${operation}: rank 0 gives ${first.length} values, rank ${rank} gives ${length}`)
    if (call !== first.call)
      throw says(`${operation} is call ${first.call} of rank 0 and call ${call} of rank ${rank}`)
  })
}
