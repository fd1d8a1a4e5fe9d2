/** What a format under test offers: files out of a seed and a number, and what became of them when they were read. */
import { KernelgradError } from '../../src/errors.ts'

export interface Case {
  /** What was done to the file. */
  kind: string
  /** The file it was made from. */
  base: string
  /** Its name, which tells the reader what it is, and its bytes. */
  name: string
  bytes: Uint8Array
}

export interface Reading {
  /** `equal`: as before; `refused`: all or in part, the rest as before; `other`: another value, where nothing in the file tells. */
  outcome: 'equal' | 'refused' | 'other'
  /** What must not be: a misreading, an error that is none of the library's, a message that says nothing. */
  faults: string[]
  /** What was read, by column or tensor, for a comparison with another reader; undefined where it was refused. */
  values?: Record<string, unknown>
  /** Why a part, or the whole (under ''), was refused. */
  refusals?: Record<string, string>
}

export interface Format {
  name: string
  /** The case that this seed and number stand for: always the same. */
  make(seed: number, number: number): Promise<Case>
  /** Reads a case; it never throws. */
  read(made: Case): Promise<Reading>
  /** Whether tools/fuzz_oracle.py can read it as well. */
  oracle?: boolean
}

/** What engines say of their own accord tells a user nothing of the file. */
const SENSELESS =
  /undefined|is not a function|not iterable|Cannot (read|convert|mix|destructure)|Invalid (array|typed|array buffer)|out of bounds|Offset is|\[object|call stack|memory access|NaN|BigInt/

/** The message of an error that a reader may end in; a fault is noted for every other. */
export function refusal(error: unknown, faults: string[], where: string): string {
  if (!(error instanceof KernelgradError)) {
    faults.push(`${where}: ${(error as Error)?.stack ?? String(error)}`)
    return String(error)
  }
  const { message } = error
  if (message.trim() === '' || SENSELESS.test(message))
    faults.push(`${where}: the message says nothing: ${message}`)
  return message
}
