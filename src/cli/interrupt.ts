// Signals that end a process from outside: Ctrl-C, the SIGTERM of containers and schedulers, the SIGHUP of a closed terminal.
import { KernelgradError } from '../errors.ts'

/** Exit codes, as shells count them. */
const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
type Signal = keyof typeof CODES
const SIGNALS = Object.keys(CODES) as Signal[]

/** How many parts of the program end their work in good order when a signal comes. */
let listening = 0
let last: Signal = 'SIGINT'

/** A signal ended the work in good order; the message says what is left. */
export class InterruptedError extends KernelgradError {
  /** The exit code that belongs to the signal. */
  readonly code: number = CODES[last]
}

/** Ends the process at a signal that nothing else takes: what it was writing goes, folders are given back. */
export function endAtSignals(): void {
  for (const signal of SIGNALS)
    process.on(signal, () => {
      // Not by the signal itself, which would leave no time for that.
      if (!listening) process.exit(CODES[signal])
    })
}

/**
 * Takes over the signals: the first calls `stop`, which ends the work in good order; the second ends the process at once.
 * @param doing what happens at the first, told to the one who waits where that may take a while.
 * @returns what gives them back.
 */
export function onInterrupt(stop: () => void, doing?: string): () => void {
  let asked = false
  const listeners = SIGNALS.map(signal => {
    const listen = () => {
      if (asked) process.exit(CODES[signal])
      asked = true
      last = signal
      const [by, again] =
        signal === 'SIGINT' ? ['', 'press Ctrl-C again to exit'] : [` by ${signal}`, 'a second signal exits']
      if (doing !== undefined) process.stderr.write(`\ninterrupted${by}: ${doing}; ${again} at once\n`)
      stop()
    }
    return [signal, listen] as const
  })
  listening++
  for (const [signal, listen] of listeners) process.on(signal, listen)
  return () => {
    listening--
    for (const [signal, listen] of listeners) process.off(signal, listen)
  }
}
