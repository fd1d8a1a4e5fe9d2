// Raw files as the database takes them: its CSV reader gives up on a file whose lines do not all end alike.
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { reason } from '../../data/files.ts'
import { DataError } from '../../errors.ts'
import { NEWLINE, RETURN } from './check.ts'

/** Writes the first rows of a file that was checked, without blank lines, every line ended by one newline. */
export async function writePlainCopy(
  path: string,
  copy: string,
  { rows, signal }: { rows: number; signal?: AbortSignal | undefined },
): Promise<void> {
  const out = await open(copy, 'wx').catch(error => {
    throw new DataError(`cannot write ${copy}: ${reason(error)}`, { cause: error })
  })
  let left = rows
  let atStart = true
  /** The part of a chunk that is wanted, moved to its front. */
  const kept = (chunk: Buffer): Buffer => {
    let end = 0
    for (const byte of chunk) {
      if (left === 0) break
      if (byte === RETURN || (byte === NEWLINE && atStart)) continue
      chunk[end++] = byte
      atStart = byte === NEWLINE
      if (atStart) left--
    }
    return chunk.subarray(0, end)
  }
  try {
    const chunks: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: 1 << 20, signal })
    for await (const chunk of chunks) {
      await out.writeFile(kept(chunk))
      if (left === 0) break
    }
    if (!atStart) await out.writeFile('\n')
  } catch (error) {
    signal?.throwIfAborted()
    throw new DataError(`cannot copy ${path} to ${copy}: ${reason(error)}`, { cause: error })
  } finally {
    await out.close()
  }
}
