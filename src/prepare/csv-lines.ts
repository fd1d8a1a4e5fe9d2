// Lines of CSV files by byte: what DuckDB's reader says and takes of them is by record, and it gives up on files whose lines end two ways.
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { reason } from '../data/files.ts'
import { DataError } from '../errors.ts'
import { isPacked } from './formats.ts'

const NEWLINE = 0x0a
const RETURN = 0x0d
const QUOTE = 0x22

/** The bytes of a file, unpacked where its name says that it is packed. */
function bytesOf(path: string): AsyncIterable<Buffer> {
  const raw = createReadStream(path, { highWaterMark: 1 << 20 })
  return isPacked(path) ? raw.pipe(createGunzip()) : raw
}

/**
 * Unpacks a file to its end: DuckDB takes one that was cut off for one that ends there.
 * @throws DataError naming the file
 */
export async function expectWhole(path: string): Promise<void> {
  const nowhere = new Writable({ write: (_part, _encoding, done) => done() })
  await pipeline(createReadStream(path), createGunzip(), nowhere).catch(error => {
    throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  })
}

/** The line, counted from 1, that a record begins in: fields in quotes may have several. DuckDB counts blank lines as records. */
export async function lineOfRecord(path: string, record: number): Promise<number> {
  let [line, records, quoted] = [1, 1, false]
  let last = 0
  if (record === 1) return line
  for await (const chunk of bytesOf(path))
    for (const byte of chunk) {
      // A return ends a line, and a newline behind it with it.
      const ends = byte === NEWLINE ? last !== RETURN : byte === RETURN
      last = byte
      if (byte === QUOTE) quoted = !quoted
      if (!ends) continue
      line++
      if (!quoted && ++records === record) return line
    }
  return line
}

/** Copies a file with every line but those within quotes ended by one newline. */
export async function copyWithNewlines(path: string, copy: string): Promise<void> {
  const out = await open(copy, 'w')
  try {
    let [quoted, returned] = [false, false]
    for await (const chunk of bytesOf(path)) {
      const kept: number[] = []
      for (const byte of chunk) {
        // A return alone ends a line too; before a newline it is part of it.
        if (returned && byte !== NEWLINE) kept.push(NEWLINE)
        returned = byte === RETURN && !quoted
        if (byte === QUOTE) quoted = !quoted
        if (!returned) kept.push(byte)
      }
      await out.writeFile(Uint8Array.from(kept))
    }
    if (returned) await out.writeFile('\n')
  } finally {
    await out.close()
  }
}
