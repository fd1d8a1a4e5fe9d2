// Files that a test writes for prepareTable, and the same bytes for openTable.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Content = string | Uint8Array

export const blobOf = (content: Content) => new Blob([content as BlobPart])

/** A folder of a test's own; the test removes it. */
export function writtenFiles(name: string) {
  const folder = mkdtempSync(join(tmpdir(), `kernelgrad-${name}-`))
  let made = 0
  return {
    folder,
    /** Writes a file into a folder of its own. */
    write(file: string, content: Content): string {
      const at = join(folder, `${++made}`)
      mkdirSync(at)
      writeFileSync(join(at, file), content)
      return join(at, file)
    },
    /** A path for a result, where nothing is yet. */
    output: () => join(folder, `out-${++made}`),
  }
}
