/** Byte sources for the Parquet reader: a path, or anything that hands out slices. */

import type { AsyncBuffer } from 'hyparquet/src/types.js'
import { files } from '#files'
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { reason } from './files.ts'

/** A path (in a browser, of the site's own files), the bytes themselves, or a remote source in hyparquet's AsyncBuffer form. */
export type ParquetSource = string | ArrayBuffer | AsyncBuffer

/**
 * Opens a byte source. The file is opened anew for every slice, so nothing is left to close.
 * @throws ArgumentError for what is no source; DataError where the file is missing, unreadable or a folder.
 */
export async function openSource(source: ParquetSource): Promise<AsyncBuffer> {
  if (typeof source !== 'string') {
    const { byteLength, slice } = Object(source) as Partial<AsyncBuffer>
    if (typeof byteLength === 'number' && typeof slice === 'function') return source
    throw new ArgumentError(
      `openParquet: source is ${shown(source)}, expected a path, an ArrayBuffer, or { byteLength, slice }`,
    )
  }
  const refuse = (error: unknown): never => {
    throw new DataError(`${source}: ${reason(error)}`, { cause: error })
  }
  const info = await files.stat(source).catch(refuse)
  if (info.isFolder) throw new DataError(`${source} is a folder, a Parquet file is expected`)
  return {
    byteLength: info.size,
    async slice(start, end = info.size) {
      const file = await files.open(source).catch(refuse)
      try {
        const bytes = await file.read(start, end - start)
        if (bytes.length < end - start) throw new DataError(`${source} became shorter while it was read`)
        return bytes.buffer
      } finally {
        await file.close()
      }
    },
  }
}
