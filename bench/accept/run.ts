// Runs the parts one after the other, each in a process of its own and within its time, and keeps what they report: a part that fails, hangs or takes
// the driver down stops no other.
import { fork } from 'node:child_process'
import { join } from 'node:path'
import { writeFileAtomic, writeJson } from '../../src/data/files.ts'
import { makeFolder } from './folder.ts'
import { pageOf } from './page.ts'
import type { Ended, Part } from './part.ts'
import { PARTS } from './parts.ts'
import { problemsOf } from './verdict.ts'

/** All that was found out. */
export interface Acceptance {
  /** Of this file's shape. */
  version: 1
  made: string
  quick: boolean
  /** By name, in order. */
  parts: Record<string, Ended>
  /** What failed, was not done or does not hold; none where all is well. */
  problems: string[]
}

export interface AcceptOptions {
  quick: boolean
  /** Folder for gpu-accept.json and gpu-accept.html. */
  out: string
  /** Of all parts together. */
  minutes: number
  /** Names of the parts to run; all unless given. */
  only?: string[] | undefined
  print(line: string): void
}

/** A part may take so many times what it takes on a card. */
const PATIENCE = 3
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** A message of a part's process. */
export type Message = { report: object } | { say: string } | { failed: string }

/** @returns the exit code: 0 where all is well, 1 where not, a signal's where one came. */
export async function accept({ quick, out, minutes, only, print }: AcceptOptions): Promise<number> {
  const parts = PARTS.filter(({ name }) => !only || only.includes(name))
  const found: Acceptance = { version: 1, made: new Date().toISOString(), quick, parts: {}, problems: [] }
  for (const { name } of parts) found.parts[name] = { status: 'not begun', seconds: 0 }
  const deadline = performance.now() + minutes * 60_000
  let stopped: keyof typeof SIGNALS | undefined
  let end = () => {}
  for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[])
    process.on(signal, () => {
      stopped ??= signal
      end()
    })
  // What cannot be written is told before anything is measured.
  await makeFolder('--out', out)
  found.problems = problemsOf(found.parts)
  await write(out, found)
  for (const [i, part] of parts.entries()) {
    if (stopped) break
    const left = parts.slice(i).reduce((sum, { seconds }) => sum + seconds, 0)
    const about = quick ? '' : `; about ${Math.ceil(left / 60)} min left`
    print(`[${i + 1} of ${parts.length}] ${part.name}: ${part.what}${about}`)
    const limit = Math.min(PATIENCE * part.seconds * 1000, deadline - performance.now())
    if (limit > 1000) {
      const ended = await runPart(part, quick, limit, print, stop => {
        end = stop
      })
      found.parts[part.name] = stopped ? { ...ended, status: 'interrupted' } : ended
      const { status, seconds, error } = found.parts[part.name]!
      print(`    ${status} after ${seconds.toFixed(1)} s${error ? `: ${error.split('\n')[0]}` : ''}`)
    } else print('    no time is left for it')
    found.problems = problemsOf(found.parts)
    await write(out, found)
  }
  for (const problem of found.problems) print(`PROBLEM ${problem}`)
  print(`${join(out, 'gpu-accept.json')} and ${join(out, 'gpu-accept.html')} hold what was found`)
  print(found.problems.length ? `${found.problems.length} problems` : 'all claims hold')
  if (stopped) return SIGNALS[stopped]
  return found.problems.length ? 1 : 0
}

function runPart(
  { name }: Part,
  quick: boolean,
  limit: number,
  print: (line: string) => void,
  onStop: (stop: () => void) => void,
): Promise<Ended> {
  const began = performance.now()
  // It leads a group of its own: what it started ends with it, and Ctrl-C reaches this process alone.
  const child = fork(process.argv[1]!, ['--part', name, ...(quick ? ['--quick'] : [])], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const kill = () => {
    try {
      if (process.platform === 'win32') child.kill('SIGKILL')
      else process.kill(-child.pid!, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  let result: object | undefined
  let error: string | undefined
  let late = false
  child.on('message', (message: Message) => {
    if ('report' in message) result = message.report
    else if ('say' in message) print(`    ${message.say}`)
    else error = message.failed
  })
  let told = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', text => {
      told = `${told}${text}`.slice(-4000)
    })
  const timer = setTimeout(() => {
    late = true
    kill()
  }, limit)
  onStop(kill)
  return new Promise(resolve => {
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      onStop(() => {})
      if (code || signal)
        error ??= `${signal ?? `exit code ${code}`}: ${told.trim().split('\n').slice(-5).join('\n')}`
      resolve({
        status: late ? 'out of time' : error === undefined ? 'done' : 'failed',
        seconds: (performance.now() - began) / 1000,
        ...(error !== undefined && !late && { error }),
        ...(result && { result }),
      })
    })
  })
}

/** Writes both files, each in one piece or not at all. */
async function write(out: string, found: Acceptance): Promise<void> {
  await writeJson(join(out, 'gpu-accept.json'), found)
  await writeFileAtomic(join(out, 'gpu-accept.html'), file => file.write(pageOf(found)))
}
