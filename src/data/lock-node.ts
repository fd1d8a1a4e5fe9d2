/**
 * One writer a folder. The lock is a file in it that names its holder: process, start, machine. A holder that has ended, whatever
 * has its id now, loses the lock to the next who asks. Nobody can look from one machine or container into another: there the file's
 * time, which a holder renews, must be old first.
 *
 * A claim is written under a passing name and linked to the lock's, which fails where that is taken. Who finds a dead holder links
 * its claim to the lock's name and the dead one's key: of several, one succeeds. It then takes the lock's own name, and steps back
 * where another has got there meanwhile. A process killed at any point leaves names of dead claims only, and the next follows them.
 */
import { readFileSync, rmSync } from 'node:fs'
import { link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FolderInUseError } from '../errors.ts'
import { isRunning, type Owner, self } from './process-node.ts'
import { codeOf, passed, passingNameOf } from './replace-node.ts'

const LOCK = '.lock'
const RENEWED_EVERY_MS = 20_000
/** A lock of another machine that was not renewed for so long is a dead one's. */
const SILENT_MS = 300_000

interface Claim extends Owner {
  /** Unlike any other claim's. */
  key: string
  /** When the process started, for people. */
  since: string
}

/**
 * Takes a folder, which must be there, for writing.
 * @returns what gives it back.
 * @throws FolderInUseError naming the process that has it, and its start; what the file system throws.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const head = join(folder, LOCK)
  const since = new Date(Date.now() - process.uptime() * 1000).toISOString()
  const claim: Claim = { ...self(), key: crypto.randomUUID(), since }
  const text = `${JSON.stringify(claim)}\n`
  const [first, second] = [passingNameOf(head), passingNameOf(head)]
  try {
    for (const path of [first, second]) await writeText(path, text)
    await take(head, claim, first, second)
  } finally {
    for (const path of [first, second]) {
      await rm(path, { force: true })
      passed(path)
    }
  }
  await clear(head)
  const timer = setInterval(() => {
    renew(head).catch(() => {}) // The folder may have gone; who holds it is told by other means then.
  }, RENEWED_EVERY_MS)
  timer.unref()
  const atExit = () => {
    if (holds(head, claim)) rmSync(head, { force: true })
  }
  process.on('exit', atExit)
  return async () => {
    clearInterval(timer)
    process.off('exit', atExit)
    if (holds(head, claim)) await rm(head, { force: true })
  }
}

/** Renews the lock's time, by the clock of whoever keeps the file: its first byte is written again. */
async function renew(head: string): Promise<void> {
  const file = await open(head, 'r+')
  try {
    await file.write('{', 0)
  } finally {
    await file.close()
  }
}

function holds(head: string, { key }: Claim): boolean {
  try {
    return (JSON.parse(readFileSync(head, 'utf8')) as Claim).key === key
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return false
    throw error
  }
}

async function writeText(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Gets the lock's name for a claim that lies under two names of its own. */
async function take(head: string, claim: Claim, first: string, second: string): Promise<void> {
  for (let at = head; ; ) {
    if (await linked(first, at)) {
      if (at === head) return
      // Only the lock's name counts. Who finds it alive after all came by a way that was cleared meanwhile.
      const holder = await readClaim(head)
      if (holder && (await lives(holder, head, second)) !== false && holder.key !== claim.key) {
        await rm(at, { force: true })
        return refuse(head, holder, second)
      }
      if (!holder) {
        await rm(at, { force: true })
        at = head
        continue
      }
      await rename(second, head)
      await rm(at, { force: true })
      return
    }
    const holder = await readClaim(at)
    if (!holder) at = head
    else if ((await lives(holder, at, second)) !== false) return refuse(at, holder, second)
    else at = `${head}.${holder.key}`
  }
}

/** Gives a file another name; false where that is taken. File systems without links get a copy, made in one step but for its content. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'].includes(codeOf(error))) throw error
  }
  const text = await readFile(from, 'utf8')
  try {
    await writeText(to, text)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Who a lock's file names; undefined where it has gone. */
async function readClaim(path: string): Promise<Claim | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const claim = JSON.parse(text) as Partial<Claim> | null
    if (typeof claim?.pid === 'number' && typeof claim.key === 'string' && /^[\w-]+$/.test(claim.key))
      return { start: '', place: '', since: 'an unknown time', ...claim } as Claim
  } catch {
    // Cut short, or no lock of ours: nobody can be named, and its age decides.
  }
  return { pid: 0, start: '', place: '', since: 'an unknown time', key: `none-${Buffer.byteLength(text)}` }
}

/** Whether a holder still runs; undefined where it may, on another machine. `fresh` was written just now, by the same clock. */
async function lives(claim: Claim, path: string, fresh: string): Promise<boolean | undefined> {
  const known = isRunning(claim)
  if (known !== undefined) return known
  const [renewed, now] = await Promise.all([stat(path).catch(() => undefined), stat(fresh)])
  return renewed && now.mtimeMs - renewed.mtimeMs < SILENT_MS ? undefined : false
}

async function refuse(path: string, claim: Claim, fresh: string): Promise<never> {
  const folder = dirname(path)
  const { pid, place, since } = claim
  if (isRunning(claim)) {
    const who = pid === process.pid ? `this process (${pid})` : `process ${pid}`
    throw new FolderInUseError(
      `${folder} is in use: ${who}, started ${since}, writes into it; wait until it has ended, or name another folder`,
    )
  }
  const renewed = await stat(path).catch(() => undefined)
  const seconds = renewed ? Math.round(((await stat(fresh)).mtimeMs - renewed.mtimeMs) / 1000) : 0
  const who = pid ? `process ${pid} of ${place}, started ${since},` : 'a process that cannot be named'
  throw new FolderInUseError(
    `${folder} is in use: ${who} writes into it and gave a sign ${seconds} seconds ago; after ${SILENT_MS / 1000} seconds without one, ` +
      `the folder is free again. Where that process has surely ended, remove ${join(folder, basename(LOCK))}`,
  )
}

/** Removes what dead claims left beside the lock, which is held: nobody can succeed by them any more. */
async function clear(head: string): Promise<void> {
  const folder = dirname(head)
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(head)}.`)) continue
    const claim = await readClaim(join(folder, name))
    if (claim && isRunning(claim) === false) await rm(join(folder, name), { force: true })
  }
}
