// Where larger files are made: below their own folder, out of sight until all of them are whole.
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { reason } from '../data/files.ts'
import { files as fileSystem } from '../data/files-node.ts'
import { moveInPlace, passingNameOf, syncFolder, targetOf } from '../data/replace-node.ts'
import { DataError } from '../errors.ts'

/** Its name; older versions have six letters behind it. */
const WORK = '.preprocess-work'

/**
 * The folder for the result, with nobody else writing into it.
 * @returns what lets it go.
 * @throws DataError where it cannot be made.
 */
export async function takeFolder(output: string): Promise<() => Promise<void>> {
  try {
    await fileSystem.makeFolder(output)
    return await fileSystem.lock(output)
  } catch (error) {
    if (!fileSystem.isError(error)) throw error
    throw new DataError(`cannot write into ${output}: ${reason(error)}`, { cause: error })
  }
}

/**
 * A folder to work in, on the same file system as the result, so that moving it there is a rename. The caller removes it.
 * @param results names of what will be moved to the output.
 * @throws DataError where that cannot be.
 */
export async function workFolder(output: string, results: readonly string[]): Promise<string> {
  try {
    // What could not be replaced must show before the work is done.
    for (const name of results)
      if ((await stat(join(output, name)).catch(() => undefined))?.isDirectory())
        // Nothing there is the usual case.
        throw new Error(`${name} is a folder`)
    // Nobody else is at work here: what lies there is of a process that was killed.
    for (const name of await readdir(output))
      if (/^\.preprocess-(\w{6}|work\.[0-9a-f]{24}\.tmp)$/.test(name))
        await rm(join(output, name), { recursive: true })
    const folder = passingNameOf(join(output, WORK))
    await mkdir(folder)
    return folder
  } catch (error) {
    throw new DataError(`cannot write into ${output}: ${reason(error)}`, { cause: error })
  }
}

/**
 * Moves the finished files to where they belong. Should the machine stop in between, the last of them, which says what the others are,
 * is not there to trust.
 */
export async function publish(folder: string, output: string, results: readonly string[]): Promise<void> {
  const last = results.at(-1)!
  try {
    const target = await targetOf(join(output, last))
    const old = await stat(target).catch(() => undefined) // Nothing there is the usual case.
    if (old?.isFile()) await rm(target)
    for (const name of results)
      await moveInPlace(
        join(folder, name),
        join(output, name),
        name === last && old?.isFile() ? old : undefined,
      )
    await syncFolder(output)
  } catch (error) {
    throw new DataError(`cannot write into ${output}: ${reason(error)}`, { cause: error })
  }
}

/** Has a file that something else wrote on the disk. */
export async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
