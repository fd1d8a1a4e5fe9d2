/** Several processes that train one model: what each is told of the others, and what they do together. */
import { KernelgradError } from '../errors.ts'
import { expectBytes, expectFloats, expectParts, expectReason } from './given.ts'

/**
 * The processes of one run, as seen by one of them. Every rank makes the same calls in the same order; a call ends when all have
 * made it. Whatever is done with numbers is done in the order of the ranks, so that every rank gets the same bits.
 */
export interface Ranks {
  /** Number of this process, from 0. Rank 0 writes files and speaks. */
  readonly rank: number
  /** How many there are. */
  readonly size: number
  /** Bytes that this rank has sent to others and received from them so far, in calls; heads and heartbeats are not counted. */
  readonly moved: { readonly sent: number; readonly received: number }
  /**
   * Adds up the values of all ranks, in place. Every rank gives as many. Every element is ((rank 0's + rank 1's) + rank 2's) + …, each sum
   * rounded to float32: the same bits on every rank, whatever carries them, however the values are cut into calls.
   */
  sum(values: Float32Array): Promise<void>
  /** What each rank gave, by rank; parts may differ in length. What this rank gave is handed back as it is. */
  gather(bytes: Uint8Array): Promise<Uint8Array[]>
  /** `parts[r]` goes to rank r; the result has what each rank sent here, by rank. */
  exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]>
  /** Ends when all ranks have come to it. */
  barrier(): Promise<void>
  /** Ends every rank, each with the reason and the rank it comes from. */
  abort(reason: string): Promise<never>
  /** Leaves in good order, once all ranks have called it. */
  close(): Promise<void>
}

/** One process that trains by itself: every call returns what it was given. Nothing is loaded for it. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  moved: { sent: 0, received: 0 },
  async sum(values) {
    expectFloats('sum: values', values)
  },
  async gather(bytes) {
    expectBytes('gather: bytes', bytes)
    return [bytes]
  },
  async exchange(parts) {
    expectParts('exchange: parts', parts, 1)
    return [...parts]
  },
  async barrier() {},
  async abort(reason) {
    expectReason('abort: reason', reason)
    throw new KernelgradError(reason)
  },
  async close() {},
}
