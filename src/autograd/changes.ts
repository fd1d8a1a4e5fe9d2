// When values that backward steps read again were last written: a gradient of old values and new ones mixed is none of either.
import { KernelgradError } from '../errors.ts'

/** What an optimizer changes: a parameter. */
export interface Changing {
  /** Which change, of all that there were, was the last of its values; 0 before any. */
  changedAt: number
  readonly shape: readonly number[]
}

let count = 0

/** How many changes there were. */
export const changesSoFar = (): number => count

/** Notes that values were written. */
export function noteChange(...changed: Changing[]): void {
  count++
  for (const one of changed) one.changedAt = count
}

/** @throws KernelgradError for values that an operation took when there had been `since` changes, and that were written after */
export function expectUnchanged(op: string, { changedAt, shape }: Changing, since: number): void {
  if (changedAt > since)
    throw new KernelgradError(
      `backward: a parameter of shape [${shape}] has changed since ${op} took it, by an optimizer's step or by being written; ` +
        'call backward() before that, or compute the result again',
    )
}
