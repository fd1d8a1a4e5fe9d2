// Node's file system.
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type FileSystem, passingName } from './file-system.ts'

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
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code ?? ''

export const files: FileSystem = {
  join,
  dirname,
  basename,

  async stat(path) {
    const info = await stat(path)
    return { size: info.size, isFolder: info.isDirectory() }
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
  async create(path) {
    const file = await open(path, 'wx')
    return {
      async write(data) {
        const bytes = typeof data === 'string' ? Buffer.from(data) : data
        let done = 0
        while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten
      },
      sync: () => file.sync(),
      close: () => file.close(),
    }
  },
  async rename(from, to) {
    await rename(from, to)
    await syncFolder(dirname(to))
  },
  remove: path => rm(path, { recursive: true, force: true }),
  async makeFolder(path) {
    await mkdir(path, { recursive: true })
  },
  list: path => readdir(path),

  async place(fresh, folder) {
    try {
      await rename(fresh, folder)
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error))) throw error
      const old = passingName(folder, 'old')
      await rename(folder, old)
      await rename(fresh, folder)
      await rm(old, { recursive: true, force: true })
    }
    await syncFolder(dirname(folder))
  },
  async withdraw(folder) {
    const going = passingName(folder)
    await rename(folder, going)
    await rm(going, { recursive: true, force: true })
  },
  // A rename is never done in part.
  async settle() {},
  isPlaced: async () => true,

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

/** A rename lasts through a power cut only once its folder is on disk. Windows cannot open folders; there it is skipped. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
