// The site's private file system (OPFS). Its files can be moved, its folders cannot.
import { ConfigError, FolderInUseError } from '../errors.ts'
import type { FileSystem, WriteFile } from './file-system.ts'
import { sha256 } from './sha256.ts'

/** What lib.dom lacks: the first is there in workers only, the second in every browser that has WebGPU. */
interface OwnFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle?(): Promise<SyncAccessHandle>
  move(folder: FileSystemDirectoryHandle, name: string): Promise<void>
}
interface SyncAccessHandle {
  write(bytes: Uint8Array, options: { at: number }): number
  flush(): void
  close(): void
}

const REASONS: Record<string, string | undefined> = {
  NotFoundError: 'no such file or folder',
  TypeMismatchError:
    'it, or a part of its path, is a file where a folder is expected, or a folder for a file',
  QuotaExceededError: 'no space left for this site',
  NoModificationAllowedError: 'it is in use, in another tab or worker',
  NotAllowedError: 'permission denied',
  SecurityError: 'this page may not keep files; private windows and frames of other sites may not',
  NotReadableError: undefined,
  InvalidStateError: undefined,
  InvalidModificationError: undefined,
  UnknownError: undefined,
}

/** How long a file that is in use is waited for, in ms of pauses: a worker that ends, as on a reload, lets go of its files late. */
const HELD_MS = 10_000
const LONGEST_PAUSE_MS = 1_000

/** Does what only a file that nobody holds allows; it changes nothing where it fails. */
async function onceFree<T>(work: () => Promise<T>): Promise<T> {
  for (let [waited, pause] = [0, 5]; ; waited += pause, pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await work()
    } catch (error) {
      if (!named(error, 'NoModificationAllowedError') || waited >= HELD_MS) throw error
    }
    await new Promise(resolve => setTimeout(resolve, pause))
  }
}

function partsOf(path: string): string[] {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part && part !== '.') parts.push(part)
  }
  return parts
}

async function folderAt(parts: readonly string[], create = false): Promise<FileSystemDirectoryHandle> {
  if (!navigator.storage?.getDirectory)
    throw new ConfigError('this page has no file system of its own; it has one on https and on localhost')
  let folder = await navigator.storage.getDirectory()
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create })
  return folder
}

async function parentOf(path: string): Promise<[FileSystemDirectoryHandle, string]> {
  const parts = partsOf(path)
  const name = parts.pop()
  if (name === undefined) throw new DOMException(`'${path}' names no file`, 'TypeMismatchError')
  return [await folderAt(parts), name]
}

async function fileAt(path: string): Promise<OwnFileHandle> {
  const [folder, name] = await parentOf(path)
  return (await folder.getFileHandle(name)) as OwnFileHandle
}

const named = (error: unknown, name: string) => error instanceof DOMException && error.name === name
const isMissing = (error: unknown) => named(error, 'NotFoundError')

export const files: FileSystem = {
  join: (...parts) => (parts[0]?.startsWith('/') ? '/' : '') + partsOf(parts.join('/')).join('/'),
  dirname: path => files.join(path, '..'),
  basename: path => partsOf(path).at(-1) ?? '',

  async stat(path) {
    try {
      const { size, lastModified } = await (await fileAt(path)).getFile()
      return { size, isFolder: false, modified: String(lastModified) }
    } catch (error) {
      if (!named(error, 'TypeMismatchError')) throw error
      await folderAt(partsOf(path))
      return { size: 0, isFolder: true }
    }
  },
  async open(path) {
    const file = await (await fileAt(path)).getFile()
    return {
      size: file.size,
      read: async (at, length) => new Uint8Array(await file.slice(at, at + length).arrayBuffer()),
      async close() {},
    }
  },
  async create(path) {
    const [folder, name] = await parentOf(path)
    const handle = (await folder.getFileHandle(name, { create: true })) as OwnFileHandle
    return onceFree(async () =>
      handle.createSyncAccessHandle ? inWorker(await handle.createSyncAccessHandle()) : onPage(handle),
    )
  },
  async replace(path) {
    const temporary = files.passingName(path)
    const file = await files.create(temporary)
    const discard = async () => {
      await file.close().catch(() => {}) // Closed already, or the first error says more.
      await files.remove(temporary)
    }
    return {
      file,
      async finish() {
        await file.sync()
        await file.close()
        await files.rename(temporary, path)
      },
      discard,
    }
  },
  identity: path =>
    files.stat(path).then(
      () => partsOf(path).join('/'),
      error => {
        if (isMissing(error)) return undefined
        throw error
      },
    ),
  async rename(from, to) {
    const [folder, name] = await parentOf(to)
    const file = await fileAt(from)
    await onceFree(() => file.move(folder, name))
  },
  async remove(path) {
    try {
      const [folder, name] = await parentOf(path)
      await onceFree(() => folder.removeEntry(name, { recursive: true }))
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  },
  async makeFolder(path) {
    await folderAt(partsOf(path), true)
  },
  async list(path) {
    const names: string[] = []
    for await (const name of (await folderAt(partsOf(path))).keys()) names.push(name)
    return names
  },

  async place(fresh, folder, mark) {
    if (await files.isPlaced(folder, mark)) await files.withdraw(folder, mark)
    await files.makeFolder(folder)
    // Cut short from here on, it can be done again: the mark in `fresh` says that what is left there is to be moved.
    const names = (await files.list(fresh)).filter(name => name !== mark)
    for (const name of [...names, mark]) await files.rename(files.join(fresh, name), files.join(folder, name))
    await files.remove(fresh)
  },
  async withdraw(folder, mark) {
    await files.remove(files.join(folder, mark))
    await files.remove(folder)
  },
  async settle(folder, mark) {
    const [parent, name] = [files.dirname(folder), files.basename(folder)]
    const names = await files.list(parent).catch(error => {
      if (isMissing(error)) return []
      throw error
    })
    for (const other of names) {
      if (!other.startsWith(`${name}.`) || !/\.[0-9a-f]{12}\.tmp$/.test(other)) continue
      const fresh = files.join(parent, other)
      if (await files.isPlaced(fresh, mark)) await files.place(fresh, folder, mark)
    }
  },
  isPlaced: (folder, mark) =>
    files.stat(files.join(folder, mark)).then(
      () => true,
      error => {
        if (isMissing(error) || named(error, 'TypeMismatchError')) return false
        throw error
      },
    ),

  // The browser gives a lock back when the tab or worker that has it ends, however it ends.
  lock: folder =>
    new Promise((resolve, reject) => {
      const name = `kernelgrad:/${partsOf(folder).join('/')}`
      const held = navigator.locks.request(name, { ifAvailable: true }, lock => {
        if (!lock)
          throw new FolderInUseError(
            `${folder} is in use: another tab or worker of this site writes into it; wait until it has ended, or name another folder`,
          )
        return new Promise<void>(release =>
          resolve(async () => {
            release()
            await held
          }),
        )
      })
      held.catch(reject)
    }),
  passingName(path, kind = 'tmp') {
    const bytes = crypto.getRandomValues(new Uint8Array(6))
    return `${path}.${Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')}.${kind}`
  },

  isError: error => error instanceof DOMException && error.name in REASONS,
  isMissing,
  reason: error => {
    if (!(error instanceof Error)) return String(error)
    return REASONS[error.name] ?? error.message
  },
  sha256,
}

function inWorker(handle: SyncAccessHandle): WriteFile {
  let at = 0
  return {
    async write(data) {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
      for (let done = 0; done < bytes.length; ) {
        const written = handle.write(done ? bytes.subarray(done) : bytes, { at })
        if (!written) throw new DOMException('nothing more could be written', 'QuotaExceededError')
        done += written
        at += written
      }
    },
    sync: async () => handle.flush(),
    close: async () => handle.close(),
  }
}

/** Outside a worker: nothing is on the disk before the file is closed. */
async function onPage(handle: FileSystemFileHandle): Promise<WriteFile> {
  const stream = await handle.createWritable()
  return {
    write: data => stream.write(data as Uint8Array<ArrayBuffer> | string),
    async sync() {},
    close: () => stream.close(),
  }
}
