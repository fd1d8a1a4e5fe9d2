// Node only: whole files, read with errors that name them and written so that no reader ever sees half of one.
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError, DataError } from '../errors.ts'

/** Node's error code, or the message where there is none. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = (error as NodeJS.ErrnoException).code
  const known: Record<string, string> = {
    ENOENT: 'no such file or folder',
    ENOTDIR: 'part of the path is a file, not a folder',
    EISDIR: 'it is a folder',
    EACCES: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOSPC: 'no space left on the device',
    EFBIG: 'the file is larger than the file system or a limit allows',
  }
  return (code && known[code]) || error.message
}

/**
 * Reads and parses a JSON file.
 * @throws ConfigError naming the file, and for broken JSON what is wrong with it.
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    throw new ConfigError(`${path} is not valid JSON: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Writes a file under a temporary name in the same folder, syncs it to disk and renames it: whatever fails, `path`
 * holds either its old content or all of the new.
 * @throws DataError naming the path when the file system refuses; what `write` throws passes through.
 */
export async function writeFileAtomic(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const refuse = (error: unknown): never => {
    throw new DataError(`cannot write ${path}: ${reason(error)}`, { cause: error })
  }
  const file = await open(temporary, 'wx').catch(refuse)
  try {
    await write(file).catch(error => {
      throw isSystemError(error) ? refuse(error) : error
    })
    await file.sync().catch(refuse)
    await file.close().catch(refuse)
    await rename(temporary, path).catch(refuse)
  } catch (error) {
    await file.close().catch(() => {}) // Closed already, or the first error says more.
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Writes a value as indented JSON, in one piece or not at all. */
export function writeJson(path: string, value: unknown): Promise<void> {
  return writeFileAtomic(path, file => file.writeFile(`${JSON.stringify(value, null, 2)}\n`))
}

/** Whether an error is the file system's. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string'
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
