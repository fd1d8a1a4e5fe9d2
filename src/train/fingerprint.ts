// Whether a run goes on with the data it began with: what a file holds, not when it was touched or where it lies.
import { files } from '#files'
import type { ReadFile } from '../data/file-system.ts'
import { isSystemError, reason } from '../data/files.ts'
import { type Dataset, isStreamed, type StreamedDataset } from '../data/index.ts'
import { DataError } from '../errors.ts'
import type { TeacherPrint } from './teacher.ts'

/** What a data file was when training began. */
export interface Fingerprint {
  file: string
  rows: number
  /** 0 for data that came from memory. */
  bytes: number
  sha256: string
}

const WHOLE = 1 << 23
const FOOTER = 1 << 20
const SAMPLE = 1 << 16
const SAMPLES = 64

/** What a run's data is. */
export interface Fingerprints {
  train: Fingerprint[]
  /** Empty without evaluation data. */
  evaluation: Fingerprint[]
  /** By stage, of the stages with data of their own; null for the others. */
  stages?: ({ train: Fingerprint[]; evaluation: Fingerprint[]; order?: string } | null)[]
  /** In what windows the training rows come that are not in memory: their order follows from it. */
  order?: string
  /** The teachers it learns from, where there are. */
  teachers?: TeacherPrint[]
}

/** Takes the fingerprints of a run's data. */
export async function fingerprints(
  train?: Dataset | StreamedDataset,
  evaluation?: Dataset,
): Promise<Fingerprints> {
  const of = async (data: Dataset | StreamedDataset | undefined) => (data ? fingerprint(data) : [])
  const order = isStreamed(train) ? { order: `streamed in windows of ${train.windowBytes} bytes` } : {}
  return { train: await of(train), evaluation: await of(evaluation), ...order }
}

/**
 * Fingerprints of a data set's files: of files beyond 8 MiB the last MiB, where Parquet describes every page, and 64 samples
 * are hashed. Data from memory is hashed as it stands there.
 * @throws DataError naming a file that cannot be read.
 */
async function fingerprint(data: Dataset | StreamedDataset): Promise<Fingerprint[]> {
  return Promise.all(
    data.files.map(async ({ name, rowStart, rows }) => {
      const file = await files.open(name).catch(error => {
        if (files.isMissing(error)) return undefined
        throw new DataError(`cannot read ${name}: ${reason(error)}`, { cause: error })
      })
      if (!file && isStreamed(data)) throw new DataError(`${name} is gone since it was opened`)
      if (!file)
        return { file: name, rows, bytes: 0, sha256: hashRows(data as Dataset, rowStart, rowStart + rows) }
      try {
        return { file: name, rows, bytes: file.size, sha256: await hashFile(file) }
      } catch (error) {
        if (!isSystemError(error)) throw error
        throw new DataError(`cannot read ${name}: ${reason(error)}`, { cause: error })
      } finally {
        await file.close()
      }
    }),
  )
}

async function hashFile(file: ReadFile): Promise<string> {
  const { size } = file
  const hash = files.sha256()
  const add = async (start: number, length: number) => hash.update(await file.read(start, length))
  if (size <= WHOLE) await add(0, size)
  else {
    for (let i = 0; i < SAMPLES; i++) await add(Math.floor((i * (size - FOOTER)) / SAMPLES), SAMPLE)
    await add(size - FOOTER, FOOTER)
  }
  return hash.digest('hex')
}

function hashRows({ lists, ids, floats }: Dataset, start: number, end: number): string {
  const hash = files.sha256()
  const add = (array: Uint32Array | Float32Array, from = start, to = end) => {
    const part = array.subarray(from, to)
    hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength))
  }
  for (const { values, offsets } of Object.values(lists)) {
    add(values, offsets[start], offsets[end])
    add(offsets, start, end + 1)
  }
  for (const array of [...Object.values(ids), ...Object.values(floats)]) add(array)
  return hash.digest('hex')
}

/** @throws DataError where rows would come in another order than when `checkpoint` was saved */
export function checkOrder(then: string | undefined, now: string | undefined, checkpoint: string): void {
  if (then === now) return
  const all = 'all in memory'
  throw new DataError(
    `the training rows are ${now ?? all}, and were ${then ?? all} in ${checkpoint}: they would come in another order; a run can only go on with the memory it began with`,
  )
}

/**
 * Compares data with what it was when `checkpoint` was saved.
 * @throws DataError naming the first file that differs.
 */
export function checkFingerprints(
  then: readonly Fingerprint[],
  now: readonly Fingerprint[],
  checkpoint: string,
): void {
  const refuse = (what: string): never => {
    throw new DataError(`${what}; ${checkpoint} can only go on with the data it was trained on`)
  }
  for (const [i, old] of then.entries()) {
    const fresh = now[i]
    if (!fresh) refuse(`${files.basename(old.file)} is missing from the data`)
    else if (fresh.rows !== old.rows)
      refuse(`${fresh.file} has ${fresh.rows} rows, and ${old.file} had ${old.rows} when training began`)
    else if (fresh.sha256 !== old.sha256 || fresh.bytes !== old.bytes)
      refuse(`${fresh.file} has changed since training began (${fresh.bytes} bytes now, ${old.bytes} then)`)
  }
  if (now.length > then.length) refuse(`${now[then.length]!.file} was not part of the data`)
}
