// Whole files, read with errors that name them and written so that no reader ever sees half of one.
import { files } from '#files'
import { ConfigError, DataError } from '../errors.ts'
import { passingName, type WriteFile } from './file-system.ts'

export const { isError: isSystemError, reason } = files

/** Whether there is a file or folder of that name that can be seen. */
export const isThere = (path: string): Promise<boolean> =>
  files.stat(path).then(
    () => true,
    () => false,
  )

/**
 * The content of a text file.
 * @throws What the file system does.
 */
export async function readText(path: string): Promise<string> {
  const file = await files.open(path)
  try {
    return new TextDecoder().decode(await file.read(0, file.size))
  } finally {
    await file.close()
  }
}

/**
 * Reads and parses a JSON file.
 * @throws ConfigError naming the file, and for broken JSON what is wrong with it.
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readText(path)
  } catch (error) {
    throw new ConfigError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  }
  try {
    return JSON.parse(text)
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
  write: (file: WriteFile) => Promise<void>,
): Promise<void> {
  const temporary = passingName(path)
  const refuse = (error: unknown): never => {
    throw new DataError(`cannot write ${path}: ${reason(error)}`, { cause: error })
  }
  const file = await files.create(temporary).catch(refuse)
  try {
    await write(file).catch(error => {
      throw isSystemError(error) ? refuse(error) : error
    })
    await file.sync().catch(refuse)
    await file.close().catch(refuse)
    await files.rename(temporary, path).catch(refuse)
  } catch (error) {
    await file.close().catch(() => {}) // Closed already, or the first error says more.
    await files.remove(temporary)
    throw error
  }
}

/** Writes a value as indented JSON, in one piece or not at all. */
export function writeJson(path: string, value: unknown): Promise<void> {
  return writeFileAtomic(path, file => file.write(`${JSON.stringify(value, null, 2)}\n`))
}
