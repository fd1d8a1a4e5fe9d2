// What runs inside a scope, `noGrad` or `autocast` is recorded at once: behind an `await`, none of them would hold any more.

import { expectFunction } from '../check.ts'
import { ArgumentError } from '../errors.ts'

/** Promises of `read()` and `item()`: all they wait for was recorded before they were returned. */
const readings = new WeakSet<object>()
let begun = 0

/** How many reads were begun so far. */
export const readsBegun = (): number => begun

/** Notes that a promise only waits for the device. */
export function reading<P extends Promise<unknown>>(promise: P): P {
  readings.add(promise)
  begun++
  return promise
}

const Async = (async () => {}).constructor

const wayOut = (where: string) =>
  `it has ended by the time an await resumes. Await what you need before, record inside ${where}(() => …), and await what it returns`

/** @throws ArgumentError for what is no function, or an async one, which is not called */
export function expectSynchronous(where: string, body: unknown): void {
  expectFunction(`${where}: body`, body)
  if (body instanceof Async)
    throw new ArgumentError(`${where}: body is an async function, and ${wayOut(where)}`)
}

/**
 * @param readsBefore Given, any promise is taken where reads were begun since: it may wait for several of them. What it goes on to do
 *   with freed tensors throws by itself.
 * @throws ArgumentError for a promise that is not one of `read()` or `item()`: whoever returned it may go on recording
 */
export function expectNoPromise(where: string, result: unknown, readsBefore = begun): void {
  if (typeof result !== 'object' || result === null || !('then' in result) || readings.has(result)) return
  if (begun > readsBefore) return
  if (result instanceof Promise) result.catch(() => {}) // this error comes first, and ends the caller
  throw new ArgumentError(`${where}: body returned a promise, and ${wayOut(where)}`)
}
