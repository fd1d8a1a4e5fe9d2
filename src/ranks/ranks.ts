/** Several processes that train one model: what each is told of the others, and what they do together. */
import { KernelgradError } from '../errors.ts'

/**
 * The processes of one run, as seen by one of them. Every rank makes the same calls in the same order; a call ends when all have
 * made it. Whatever is done with numbers is done in the order of the ranks, so that every rank gets the same bits.
 */
export interface Ranks {
  /** Number of this process, from 0. Rank 0 writes files and speaks. */
  readonly rank: number
  /** How many there are. */
  readonly size: number
  /** Adds up the values of all ranks, in place. Every rank gives as many. */
  sum(values: Float32Array): Promise<void>
  /** What each rank gave, by rank; parts may differ in length. */
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
  async sum() {},
  gather: async bytes => [bytes],
  exchange: async parts => [...parts],
  async barrier() {},
  abort: async reason => {
    throw new KernelgradError(reason)
  },
  async close() {},
}
