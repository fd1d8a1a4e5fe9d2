// Whole files, read with errors that name them and written so that no reader ever sees half of one.
import { files } from '#files'
import { ConfigError, DataError } from '../errors.ts'
import type { WriteFile } from './file-system.ts'

export const { isError: isSystemError, reason } = files

/** Whether there is a file or folder of that name that can be seen. */
export const isThere = (path: string): Promise<boolean> =>
  files.stat(path).then(
    () => true,
    () => false,
  )

/**
 * The content of a text file, without a byte order mark unless it is to be kept.
 * @throws ConfigError naming the file, where it cannot be read or is no UTF-8.
 */
export async function readText(path: string, { keepMark = false } = {}): Promise<string> {
  let bytes: Uint8Array
  try {
    const file = await files.open(path)
    try {
      bytes = await file.read(0, file.size)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new ConfigError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: keepMark }).decode(bytes)
  } catch (error) {
    throw new ConfigError(`${path} is no text: its bytes are not UTF-8`, { cause: error })
  }
}

/** Levels that JSON may nest: more than any file that is meant, fewer than recursion has room for. */
const DEEPEST_JSON = 200

/** How deep the brackets of a JSON text nest. */
function depthOf(json: string): number {
  let [depth, deepest] = [0, 0]
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i)
    if (c === 0x5b || c === 0x7b) deepest = Math.max(deepest, ++depth)
    else if (c === 0x5d || c === 0x7d) depth--
    else if (c === 0x22)
      while (++i < json.length && json.charCodeAt(i) !== 0x22) if (json.charCodeAt(i) === 0x5c) i++
  }
  return deepest
}

/**
 * Reads and parses a JSON file.
 * @throws ConfigError naming the file, and for broken JSON what is wrong with it.
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path)
  if (depthOf(text) > DEEPEST_JSON)
    throw new ConfigError(`${path} nests deeper than ${DEEPEST_JSON} levels, which no configuration does`)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ConfigError(`${path} is not valid JSON: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Writes a file under a temporary name in the same folder, syncs it to disk and renames it: whatever fails, `path`
 * holds either its old content or all of the new. Links are followed, a file keeps its mode, and a device or pipe is written through.
 * @throws DataError naming the path when the file system refuses; what `write` throws passes through.
 */
export async function writeFileAtomic(
  path: string,
  write: (file: WriteFile) => Promise<void>,
): Promise<void> {
  const refuse = (error: unknown): never => {
    throw isSystemError(error)
      ? new DataError(`cannot write ${path}: ${reason(error)}`, { cause: error })
      : error
  }
  const target = await files.replace(path).catch(refuse)
  try {
    await write(target.file)
    await target.finish()
  } catch (error) {
    await target.discard()
    refuse(error)
  }
}

/** Writes a value as indented JSON, in one piece or not at all. */
export function writeJson(path: string, value: unknown): Promise<void> {
  return writeFileAtomic(path, file => file.write(`${JSON.stringify(value, null, 2)}\n`))
}
