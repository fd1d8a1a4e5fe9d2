/** Runs cases in a process of its own, under a bound on its memory and a watch that ends it where it hangs. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Reading } from './case.ts'

/** What a case came to, and what it was. */
interface Result extends Reading {
  kind: string
  base: string
  /** Bytes by which the process had to grow for it. */
  grown: number
}

/** Files of a few kilobytes; what takes more than this was believed without being held against them. */
const MOST_MEMORY = 600 * 2 ** 20
const HEAP = 512

/** The one clock: no case takes a second on a slow machine. */
const HANGS_AFTER = 60_000

export interface Runner {
  run(format: string, seed: number, number: number): Promise<Result>
  close(): void
}

export function createRunner(): Runner {
  let child: ChildProcess | undefined
  const failed = (fault: string): Result => {
    child = undefined
    return { kind: '', base: '', grown: 0, outcome: 'other', faults: [fault] }
  }
  return {
    async run(format, seed, number) {
      child ??= fork(fileURLToPath(new URL('./child.js', import.meta.url)), {
        execArgv: [`--max-old-space-size=${HEAP}`],
        serialization: 'advanced',
      })
      const running = child
      const result = await new Promise<Result>(resolve => {
        const done = (outcome: Result) => {
          clearTimeout(watch)
          running.removeAllListeners()
          resolve(outcome)
        }
        const watch = setTimeout(() => {
          running.kill('SIGKILL')
          done(failed(`hangs: no answer within ${HANGS_AFTER / 1000} s`))
        }, HANGS_AFTER)
        running.once('message', message => done(message as Result))
        running.once('exit', (code, signal) => done(failed(`the process died (${signal ?? code})`)))
        running.send({ format, seed, number })
      })
      result.grown *= 1024
      if (result.grown > MOST_MEMORY)
        result.faults.push(`took ${Math.round(result.grown / 2 ** 20)} MiB more than any case before`)
      return result
    },
    close: () => void child?.disconnect(),
  }
}
