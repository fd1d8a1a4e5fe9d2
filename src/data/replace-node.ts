/**
 * Files that take the place of others. What is a regular file, or not there yet, is written under a passing name beside it and
 * renamed, with the mode and, where possible, the owner of what it replaces; links are followed to where they lead. Devices,
 * pipes and what the process was started with (/dev/stdout) are written through: a rename would put a file in their place.
 */
import { existsSync, rmSync, type Stats, write as writeDescriptor } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Replacement, WriteFile } from './file-system.ts'
import { hasEnded, ownerMark, self } from './process-node.ts'

/** What Node calls an error of the file system: 'ENOENT'. */
export const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code ?? ''

const LINKS = 40

/** What is under way, and goes when the process ends by `process.exit`. */
const passing = new Set<string>()
let listening = false

function clearAtExit(): void {
  const clear = () => {
    const missing = [...passing].filter(path => !existsSync(path))
    for (const path of passing) rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    return missing.length
  }
  // What is asked for already, the system may still make.
  if (clear()) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30)
    clear()
  }
}

/** A name beside `path` that says whose it is. */
export function passingNameOf(path: string, kind: 'tmp' | 'old' = 'tmp'): string {
  const random = Array.from(crypto.getRandomValues(new Uint8Array(3)), byte =>
    byte.toString(16).padStart(2, '0'),
  )
  const name = `${path}.${ownerMark(self())}${random.join('')}.${kind}`
  if (kind === 'tmp') {
    if (!listening) process.on('exit', clearAtExit)
    listening = true
    passing.add(name)
  }
  return name
}

/** What bore a passing name is in place, or gone. */
export const passed = (name: string): unknown => passing.delete(name)

/** Names beside `path` that a process left which has ended. */
export async function leftBeside(path: string): Promise<{ path: string; kind: 'tmp' | 'old' }[]> {
  const [folder, name] = [dirname(path), basename(path)]
  const names = await readdir(folder).catch(() => []) // What cannot be listed holds nothing to clear; writing will say why.
  return names.flatMap(other => {
    if (!other.startsWith(`${name}.`)) return []
    const [, mark, kind] = /^\.([0-9a-f]{18})[0-9a-f]{6}\.(tmp|old)$/.exec(other.slice(name.length)) ?? []
    return mark && hasEnded(mark) ? [{ path: join(folder, other), kind: kind as 'tmp' | 'old' }] : []
  })
}

const orMissing = (error: unknown): undefined => {
  if (codeOf(error) !== 'ENOENT') throw error
}

/** Where a path leads that may be a link, also one to nothing. */
export async function targetOf(path: string): Promise<string> {
  let at = path
  for (let i = 0; i < LINKS; i++) {
    const info = await lstat(at).catch(orMissing)
    if (!info?.isSymbolicLink()) return at
    at = resolve(await realpath(dirname(at)), await readlink(at))
  }
  throw Object.assign(new Error(`ELOOP: too many links, stat '${path}'`), { code: 'ELOOP', syscall: 'stat' })
}

/** The number of an open file of this process that a path stands for, such as /dev/stdout; nothing for other paths. */
export async function descriptorOf(path: string): Promise<number | undefined> {
  let at = resolve(path)
  for (let i = 0; i < LINKS; i++) {
    const folder = await realpath(dirname(at)).catch(() => '')
    if (folder === `/proc/${process.pid}/fd` || folder === '/dev/fd') return Number(basename(at))
    const link = await readlink(at).catch(() => undefined) // Not a link: the end of the way.
    if (link === undefined) return undefined
    at = resolve(folder, link)
  }
  return undefined
}

interface Target {
  /** Where the bytes go. */
  real: string
  /** What is there. */
  info: Stats | undefined
  descriptor: number | undefined
}

async function look(path: string): Promise<Target> {
  const info = await stat(path).catch(orMissing)
  if (info?.isDirectory())
    throw Object.assign(new Error(`EISDIR: is a folder, open '${path}'`), { code: 'EISDIR', syscall: 'open' })
  const descriptor = await descriptorOf(path)
  const real = info && descriptor === undefined && info.isFile() ? await realpath(path) : path
  return { real: info ? real : await targetOf(path), info, descriptor }
}

/** Opens what will take a file's place, or the device or pipe itself. */
export async function replace(path: string): Promise<Replacement> {
  const { real, info, descriptor } = await look(path)
  if (descriptor !== undefined) return through(await openDescriptor(descriptor))
  if (info && !info.isFile()) return through(await writeHandle(await open(path, 'w')))
  for (const left of await leftBeside(real))
    if (left.kind === 'tmp') await rm(left.path, { recursive: true, force: true })
  const temporary = passingNameOf(real)
  const handle = await open(temporary, 'wx', info ? 0o600 : 0o666).catch(error => {
    passed(temporary)
    throw error
  })
  const file = writeHandle(handle)
  const discard = async () => {
    await handle.close().catch(() => {}) // Closed already, or the first error says more.
    await rm(temporary, { force: true })
    passed(temporary)
  }
  try {
    if (info) await adopt(handle, info)
  } catch (error) {
    await discard()
    throw error
  }
  return {
    file,
    async finish() {
      await handle.sync()
      await handle.close()
      await rename(temporary, real)
      passed(temporary)
      await syncFolder(dirname(real))
    },
    discard,
  }
}

/** Gives a file the owner, where this user may, and the mode of the one it replaces. */
async function adopt(handle: FileHandle, info: Stats): Promise<void> {
  const now = await handle.stat()
  if (now.uid !== info.uid || now.gid !== info.gid)
    await handle.chown(info.uid, info.gid).catch(error => {
      if (codeOf(error) !== 'EPERM') throw error
    })
  await handle.chmod(info.mode & 0o7777)
}

/** Moves a finished file to where it belongs, as {@link replace} does; `old` is what was there, where that is gone. */
export async function moveInPlace(from: string, to: string, old?: Stats): Promise<void> {
  const { real, info, descriptor } = await look(to)
  if (descriptor === undefined && (!info || info.isFile())) {
    const like = info ?? old
    if (like) {
      const handle = await open(from, 'r')
      await adopt(handle, like).finally(() => handle.close())
    }
    try {
      await rename(from, real)
      return await syncFolder(dirname(real))
    } catch (error) {
      if (codeOf(error) !== 'EXDEV') throw error
    }
  }
  const target = await replace(to)
  try {
    const source = await open(from, 'r')
    try {
      for await (const part of source.readableWebStream())
        await target.file.write(new Uint8Array(part as ArrayBuffer))
    } finally {
      await source.close()
    }
    await target.finish()
  } catch (error) {
    await target.discard()
    throw error
  }
  await rm(from)
}

/** A handle, open for writing. */
export function writeHandle(handle: FileHandle): WriteFile {
  return {
    async write(data) {
      const bytes = typeof data === 'string' ? Buffer.from(data) : data
      for (let done = 0; done < bytes.length; )
        done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  }
}

function through(file: WriteFile): Replacement {
  return { file, finish: () => file.close(), discard: () => file.close().catch(() => {}) } // The first error says more.
}

async function openDescriptor(descriptor: number): Promise<WriteFile> {
  const stream = descriptor === 1 ? process.stdout : descriptor === 2 ? process.stderr : undefined
  const write = promisify(writeDescriptor)
  return {
    async write(data) {
      const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data)
      if (stream)
        // In line with what else is told there, and waiting where a pipe is full.
        return new Promise((resolve, reject) => {
          stream.write(bytes, error => (error ? reject(error) : resolve()))
        })
      for (let done = 0; done < bytes.length; )
        done += (await write(descriptor, bytes, done, bytes.length - done)).bytesWritten
    },
    async sync() {},
    async close() {},
  }
}

/**
 * A rename lasts through a power cut only once its folder is on disk. Windows cannot open folders, and one that may be written and not
 * read cannot be opened either: there it is skipped.
 */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r').catch(error => {
    if (codeOf(error) !== 'EACCES') throw error
  })
  try {
    await folder?.sync()
  } finally {
    await folder?.close()
  }
}
