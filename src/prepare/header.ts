// The header of a CSV file on disk.
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { reason } from '../data/files.ts'
import { DataError } from '../errors.ts'
import { endOfRecord, type Header, headerOf } from './csv-header.ts'
import { isPacked } from './formats.ts'

/** Names are read from so many bytes at most. */
const LONGEST = 4 * 2 ** 20

/**
 * Reads a CSV file's header.
 * @throws DataError naming the file, as `headerOf` does, and where it is no text.
 */
export async function readHeader(path: string, delimiter?: string): Promise<Header> {
  return headerOf(path, await firstRecord(path), delimiter)
}

async function firstRecord(path: string): Promise<string> {
  const raw = createReadStream(path)
  const bytes = isPacked(path) ? raw.pipe(createGunzip()) : raw
  const parts: Uint8Array[] = []
  let size = 0
  try {
    // What opening refuses shows on the first stream, not on the one it is piped to.
    await new Promise<void>((ready, refuse) => {
      raw.once('error', refuse)
      raw.once('open', () => ready())
    })
    for await (const part of bytes as AsyncIterable<Uint8Array>) {
      parts.push(part)
      size += part.length
      if (endOfRecord(Buffer.concat(parts).toString('latin1')) >= 0 || size > LONGEST) break
    }
  } catch (error) {
    throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  } finally {
    raw.destroy()
  }
  const all = Buffer.concat(parts)
  const end = endOfRecord(all.toString('latin1'))
  if (end < 0 && size > LONGEST)
    throw new DataError(`${path}: its first line has more than ${LONGEST} bytes, expected names of columns`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? all : all.subarray(0, end))
  } catch (error) {
    const way =
      all[0] === 0x1f && all[1] === 0x8b
        ? 'it is packed by gzip, so its name has to end in .gz'
        : all.subarray(0, 4).toString('latin1') === 'PAR1'
          ? 'it is a Parquet file, so its name has to end in .parquet'
          : 'save the file as UTF-8'
    throw new DataError(`${path} is no text: its first line is not UTF-8; ${way}`, { cause: error })
  }
}
