// Node's file system.
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { FileSystem } from './file-system.ts'
import { lockFolder } from './lock-node.ts'
import {
  codeOf,
  leftBeside,
  passed,
  passingNameOf,
  replace,
  syncFolder,
  targetOf,
  writeHandle,
} from './replace-node.ts'

// Node reads at most 2 GiB in one call.
const READ_AT_ONCE = 1 << 28

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'part of the path is a file, not a folder',
  EISDIR: 'it is a folder',
  EEXIST: 'it is a file, not a folder', // of mkdir; nothing else fails so
  EACCES: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the device',
  EFBIG: 'the file is larger than the file system or a limit allows',
  EDQUOT: 'no space left in the quota',
  EIO: 'the device failed',
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  ENXIO: 'nothing is there to take it',
  EPERM: 'not permitted',
  EPIPE: 'what read it has closed it',
}

export const files: FileSystem = {
  join,
  dirname,
  basename,

  async stat(path) {
    const info = await stat(path, { bigint: true })
    const { dev, ino, size, mtimeNs, ctimeNs } = info
    return {
      size: Number(size),
      isFolder: info.isDirectory(),
      modified: String(mtimeNs),
      version: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
      changed: Math.max(Number(mtimeNs), Number(ctimeNs)) / 1e6,
    }
  },
  async open(path) {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      return { size, read: (at, length) => read(file, at, length), close: () => file.close() }
    } catch (error) {
      await file.close()
      throw error
    }
  },
  create: async path => writeHandle(await open(path, 'wx')),
  replace,
  async identity(path) {
    const info = await stat(path, { bigint: true }).catch((error): undefined => {
      if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error
    })
    return info && `${info.dev}:${info.ino}`
  },
  async rename(from, to) {
    await rename(from, to)
    await syncFolder(dirname(to))
  },
  async remove(path) {
    await rm(path, { recursive: true, force: true })
    passed(path)
  },
  makeFolder,
  list: path => readdir(path),

  async place(fresh, folder) {
    try {
      await rename(fresh, folder)
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error))) throw error
      const old = passingNameOf(folder, 'old')
      await rename(folder, old)
      await rename(fresh, folder)
      await rm(old, { recursive: true, force: true })
    }
    passed(fresh)
    await syncFolder(dirname(folder))
  },
  async withdraw(folder) {
    const going = passingNameOf(folder)
    await rename(folder, going)
    await rm(going, { recursive: true, force: true })
    passed(going)
  },
  // A rename is never done in part, but a process may end between the two of a replacement.
  async settle(folder) {
    for (const { path, kind } of await leftBeside(folder)) {
      if (kind === 'old' && !(await isThere(folder))) await rename(path, folder)
      else await rm(path, { recursive: true, force: true })
    }
  },
  isPlaced: async () => true,

  lock: lockFolder,
  passingName: passingNameOf,

  isError: error => error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string',
  isMissing: error => codeOf(error) === 'ENOENT',
  reason: error => REASONS[codeOf(error)] ?? (error instanceof Error ? error.message : String(error)),
  sha256: () => createHash('sha256'),
}

async function read(file: FileHandle, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, Math.min(READ_AT_ONCE, length - done), at + done)
    if (!bytesRead) break
    done += bytesRead
  }
  return done < length ? bytes.slice(0, done) : bytes
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    error => {
      if (codeOf(error) === 'ENOENT') return false
      throw error
    },
  )

/** Node's own recursive mkdir never returns where a folder, such as /proc, says that its parent is missing. */
async function makeFolder(path: string): Promise<void> {
  const make = () =>
    mkdir(path).catch(async error => {
      if (!['EEXIST', 'EISDIR', 'EPERM'].includes(codeOf(error))) throw error
      const info = await stat(path).catch(() => undefined)
      if (info?.isDirectory()) return
      // A link to nothing leads to the folder that is to be made.
      const target = info ? path : await targetOf(path)
      if (target === path) throw error
      await makeFolder(target)
    })
  await make().catch(async error => {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await make()
  })
}
