// Which process made a file, and whether it still runs. A process id alone says little: ids are used again, and those of another
// machine or container mean nothing here. So an owner is an id, the moment that process started, and where.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** A process among all there ever were. */
export interface Owner {
  pid: number
  /** When it started, as the system counts; equal for the same process only. */
  start: string
  /** Where its id counts: the machine, and the container in it. */
  place: string
}

const textOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // no such process, or a system without /proc
  }
}

/** When a process started; undefined where there is none of that id that runs. */
export function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const stat = textOf(`/proc/${pid}/stat`)
    if (stat === undefined) return undefined
    // The name, in parentheses, may hold anything; state is the 3rd field, the start in ticks since boot the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (/[ZXx]/.test(fields[0]!)) return undefined
    return `${textOf('/proc/sys/kernel/random/boot_id')?.trim()} ${fields[19]}`
  }
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
  }
  if (process.platform === 'win32') return 'running'
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
  } catch {
    return undefined // ps knows no such process
  }
}

function placeOf(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}

let own: Owner | undefined
/** This process. */
export function self(): Owner {
  own ??= { pid: process.pid, start: startOf(process.pid) ?? '', place: placeOf() }
  return own
}

/** Whether a process still runs; undefined where it cannot be told from here. */
export function isRunning({ pid, start, place }: Owner): boolean | undefined {
  return place === self().place ? startOf(pid) === start : undefined
}

const short = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 6)

/** An owner as 18 hexadecimal digits, for the names of files. */
export const ownerMark = ({ pid, start, place }: Owner): string =>
  pid.toString(16).padStart(6, '0') + short(place) + short(start)

/** Whether the owner of a mark has surely ended. */
export function hasEnded(mark: string): boolean {
  if (mark.slice(6, 12) !== short(self().place)) return false
  const start = startOf(Number.parseInt(mark.slice(0, 6), 16))
  return start === undefined || short(start) !== mark.slice(12, 18)
}
