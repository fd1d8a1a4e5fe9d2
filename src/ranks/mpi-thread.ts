// What the thread that calls MPI and the one that trains say to each other.

import type { Family } from './launcher.ts'
import type { Operation } from './link.ts'

/** Memory of the training thread, which keeps it alive until the trade has ended. */
export interface Span {
  address: bigint
  bytes: number
}

/** To the thread. */
export type Order =
  | {
      type: 'trade'
      call: number
      operation: Operation
      length: number
      parts: readonly Span[]
      into: readonly (Span | undefined)[]
    }
  | { type: 'fail'; reason: string }
  | { type: 'leave' }

/** From the thread. */
export type Answer =
  | { type: 'ready'; rank: number; size: number }
  /** What came that had no place, by rank. */
  | { type: 'traded'; parts: (Uint8Array | undefined)[] }
  | { type: 'failed'; rank: number; message: string; speaks: boolean }
  | { type: 'left' }

/** What the thread is started with. */
export interface Start {
  family: Family
  path: string
  /** What every rank has to have alike: versions of this library and of MPI. */
  version: string
  /** Seconds without a sign of life after which a rank is lost. */
  lost: number
  /** Seconds that a live rank may let the others wait. */
  wait: number
  /** How the training thread's end is told: what `LAST` names, then the UTF-8 bytes of why. */
  last: SharedArrayBuffer
}

/** Words of 4 bytes in `last`. The thread sets `seen` when the process may end; the text begins at `text`, in bytes. */
export const LAST = { ended: 0, code: 1, length: 2, seen: 3, text: 16, bytes: 4096 } as const
