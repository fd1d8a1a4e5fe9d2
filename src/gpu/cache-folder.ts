// Node only: where what took time to make is kept for the next run.
import { randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { ConfigError } from '../errors.ts'

/** Where XDG_CACHE_HOME or the home says; nothing where neither names a folder by its whole path. */
function usersFolder(): string | undefined {
  // The XDG specification: what is empty or relative counts as not set.
  const { XDG_CACHE_HOME: set = '' } = process.env
  if (isAbsolute(set)) return join(set, 'kernelgrad')
  for (const home of [homedir, () => userInfo().homedir]) {
    let path = ''
    try {
      path = home()
    } catch {
      // A user that the system does not know has no home.
    }
    if (isAbsolute(path) && path !== '/') return join(path, '.cache', 'kernelgrad')
  }
  return undefined
}

/** One a user, below the system's folder for what may go. */
function passingFolder(): string {
  const base = isAbsolute(tmpdir()) ? tmpdir() : '/tmp'
  return join(base, `kernelgrad-${process.getuid?.() ?? userInfo().username}`)
}

/** The folders to look in and to try, best first. They may not exist yet. */
export const cacheFolders = (): string[] => [usersFolder() ?? [], passingFolder()].flat()

/** The folder `kernelgrad` in the user's cache folder, or the next best; it may not exist yet. */
export const cacheFolder = (): string => cacheFolders()[0]!

/** Whether what lies in a folder may be trusted: below the common one, anybody could have made it. */
export function isOwn(folder: string): boolean {
  if (folder !== passingFolder() || !process.getuid) return true
  try {
    const info = lstatSync(folder)
    return info.isDirectory() && info.uid === process.getuid() && !(info.mode & 0o022)
  } catch {
    return false // not there
  }
}

/** Makes a folder and those above it; Node's own way never returns below /proc. Returns those that were made, the deepest first. */
function makeFolders(path: string, mode: number): string[] {
  try {
    if (statSync(path).isDirectory()) return []
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const above = dirname(path) === path ? [] : makeFolders(dirname(path), mode)
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(path).isDirectory()) throw error
    return above
  }
  return [path, ...above]
}

/**
 * Makes something in the first cache folder that takes it; where one refuses, nothing is left there and the next is tried.
 * @param what it is, for the message.
 * @throws ConfigError naming every folder and why it was none.
 */
export function makeInCache<T>(what: string, make: (folder: string) => T): T {
  const reasons: string[] = []
  for (const folder of cacheFolders()) {
    let made: string[] = []
    try {
      made = makeFolders(folder, 0o700)
      if (!isOwn(folder)) throw new Error('it belongs to another user, or others may write into it')
      return make(folder)
    } catch (error) {
      for (const path of made)
        try {
          rmdirSync(path)
        } catch {
          break // Someone else uses it meanwhile.
        }
      reasons.push(`${folder}: ${wordsOf(error)}`)
      // What stands in the way in a folder that can be written would be found first by whoever reads.
      if ((error as NodeJS.ErrnoException).code === 'EISDIR') break
    }
  }
  throw new ConfigError(
    `${what} cannot be kept (${reasons.join('; ')}); set XDG_CACHE_HOME to the whole path of a folder that can be written`,
  )
}

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'no space left in the quota',
  ENOTDIR: 'part of the path is a file, not a folder',
  EEXIST: 'it is a file, not a folder',
  ENOENT: 'it cannot be made',
}

function wordsOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return REASONS[code] ?? message
}

/** A name beside `path` that says whose it is. */
export const passingCacheName = (path: string): string =>
  `${path}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`

/** Removes what a process that has ended was making beside `path`; `name` is that of a folder's entry. */
export function clearIfDead(folder: string, name: string): void {
  // Older versions wrote the id alone.
  const [, pid] = /\.(\d+)(?:\.[0-9a-f]{12}\.tmp)?$/.exec(name) ?? []
  if (pid === undefined || isAlive(Number(pid))) return
  rmSync(join(folder, name), { recursive: true, force: true })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** The text of a file in the first cache folder that has it. */
export function readInCache(name: string): string | undefined {
  for (const folder of cacheFolders()) {
    if (!isOwn(folder)) continue
    const path = join(folder, name)
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      // A home that is another's is none.
      if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(code))
        throw new ConfigError(`cannot read ${path}: ${wordsOf(error)}; remove it`, { cause: error })
    }
  }
  return undefined
}
