import { files } from '#files'
import { reason } from '../../src/data/files.ts'
import { UsageError } from '../../src/errors.ts'

/** Makes the folder that an option names, and those above it, where they are not there. */
export function makeFolder(option: string, folder: string): Promise<void> {
  return files.makeFolder(folder).catch((error: unknown) => {
    throw new UsageError(`${option} ${folder}: ${reason(error)}`, { cause: error })
  })
}
