/** Byte sources for the Parquet reader: a path (Node only), or anything that hands out slices. */
import type { AsyncBuffer } from 'hyparquet'
import { DataError } from '../errors.ts'

/** A path, the bytes themselves, or a remote source in hyparquet's AsyncBuffer form. */
export type ParquetSource = string | ArrayBuffer | AsyncBuffer

/**
 * Opens a byte source. The file is opened anew for every slice, so nothing is left to close.
 * @throws DataError where the file is missing, unreadable or a folder.
 */
export async function openSource(source: ParquetSource): Promise<AsyncBuffer> {
  if (typeof source !== 'string') return source
  // Imported on use: the browser build reads from buffers and has no node:fs.
  const { open, stat } = await import('node:fs/promises')
  const { reason } = await import('./files.ts')
  const info = await stat(source).catch(error => {
    throw new DataError(`${source}: ${reason(error)}`, { cause: error })
  })
  if (info.isDirectory()) throw new DataError(`${source} is a folder, a Parquet file is expected`)
  return {
    byteLength: info.size,
    async slice(start, end = info.size) {
      const handle = await open(source).catch(error => {
        throw new DataError(`${source}: ${reason(error)}`, { cause: error })
      })
      try {
        const bytes = new Uint8Array(end - start)
        let filled = 0
        while (filled < bytes.length) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled)
          if (bytesRead === 0) throw new DataError(`${source} became shorter while it was read`)
          filled += bytesRead
        }
        return bytes.buffer
      } finally {
        await handle.close()
      }
    },
  }
}
