/** Reads windows of rows: in a thread of its own, or in the caller's where tokenizers are needed, which cannot be sent to another. */
import { files } from '#files'
import { DataError, KernelgradError } from '../errors.ts'
import type { TokenLists } from './columns.ts'
import type { Columns, ReadOptions } from './dataset.ts'
import { isSystemError, reason } from './files.ts'
import { joinLists } from './join-columns.ts'
import { openParquet, type ParquetFile } from './parquet.ts'
import { planFor, readGroup } from './read-group.ts'
import type { Reading } from './read-plan.ts'
import { sharedFloats, sharedIds } from './shared-memory.ts'
import { orderOf, type StreamWindow } from './stream-plan.ts'

/** A file as it was when it was opened first. */
export interface FileMark {
  path: string
  size: number
  modified: string | undefined
}

/** What is read of the files. */
export interface StreamReading extends Pick<ReadOptions, 'inputs' | 'tokenize' | 'tokenizers'> {
  trainOnly: NonNullable<ReadOptions['trainOnly']>
}

/** A window to read, and the order its rows are to have. */
export interface WindowRequest {
  window: StreamWindow
  epoch: number
  shuffle: boolean
  seed: number
}

/** A window's rows. */
export interface WindowRows {
  columns: Columns
  order: Uint32Array<ArrayBufferLike>
}

/** Reads windows of some files, which it opens as they are met. */
export class WindowReader {
  readonly #marks: readonly FileMark[]
  readonly #reading: StreamReading
  readonly #opened = new Map<number, { file: ParquetFile; plan: Reading[] }>()

  constructor(marks: readonly FileMark[], reading: StreamReading) {
    this.#marks = marks
    this.#reading = reading
  }

  /** @throws DataError naming file and row group for a file that has gone or changed, or cannot be read; as loadDataset for its values */
  async read({ window, epoch, shuffle, seed }: WindowRequest): Promise<WindowRows> {
    const { rows, spans } = window
    const columns: Columns = { length: rows, rowStart: 0, lists: {}, ids: {}, floats: {}, parts: [] }
    const lists: Record<string, TokenLists[]> = {}
    let start = 0
    for (const { group, from, to } of spans) {
      const { path } = this.#marks[group.file]!
      const read = await this.#group(group.file, group.group)
      for (const [name, list] of Object.entries(read.lists)) {
        lists[name] ??= []
        lists[name].push(cutList(list, from, to))
      }
      for (const [name, ids] of Object.entries(read.ids)) {
        columns.ids[name] ??= sharedIds(rows)
        columns.ids[name].set(ids.subarray(from, to), start)
      }
      for (const [name, floats] of Object.entries(read.floats)) {
        columns.floats[name] ??= sharedFloats(rows)
        columns.floats[name].set(floats.subarray(from, to), start)
      }
      columns.parts!.push({ start, file: path, row: group.row + from, number: group.number + from })
      start += to - from
    }
    for (const name of Object.keys(lists)) {
      columns.lists[name] = joinLists(lists[name]!, sharedIds)
      delete lists[name] // its memory goes before the next column's is taken
    }
    return { columns, order: orderOf(window, epoch, { shuffle, seed }, sharedIds(rows)) }
  }

  async #group(index: number, group: number) {
    const mark = this.#marks[index]!
    const where = `${mark.path}: row group ${group}`
    try {
      if (!this.#opened.has(index)) {
        const file = await openParquet(mark.path)
        this.#opened.set(index, { file, plan: planFor(file, this.#reading.inputs, this.#reading.trainOnly) })
      }
      const { file, plan } = this.#opened.get(index)!
      const read = await readGroup(file, group, plan, this.#reading)
      await expectSame(mark, where)
      return read
    } catch (error) {
      // What the change led to says less than that there was one.
      await expectSame(mark, where)
      if (!(error instanceof KernelgradError) && !isSystemError(error)) throw error
      const { message } = error as Error
      if (message.startsWith(where) || !(error instanceof DataError)) throw error
      throw new DataError(
        `${where}${message.startsWith(mark.path) ? message.slice(mark.path.length) : `: ${message}`}`,
        {
          cause: error,
        },
      )
    }
  }
}

/** The size and time of a file. @throws DataError where it is not there */
export async function markOf(path: string): Promise<FileMark> {
  const { size, modified } = await files.stat(path).catch(error => {
    throw new DataError(`${path}: ${reason(error)}`, { cause: error })
  })
  return { path, size, modified }
}

async function expectSame({ path, size, modified }: FileMark, where: string): Promise<void> {
  const now = await files.stat(path).catch(error => {
    throw new DataError(`${where}: ${reason(error)}; it was there when it was opened (${size} bytes)`, {
      cause: error,
    })
  })
  if (now.size === size && now.modified === modified) return
  const how =
    now.size === size ? `was written to, ${size} bytes as before` : `has ${now.size} bytes, and had ${size}`
  throw new DataError(
    `${where}: the file has changed since it was opened: it ${how}; rows that were trained on would come again or never; expected files that stay as they are while they are read`,
  )
}

function cutList({ values, offsets }: TokenLists, from: number, to: number): TokenLists {
  if (from === 0 && to === offsets.length - 1) return { values, offsets }
  const start = offsets[from]!
  return {
    values: values.subarray(start, offsets[to]),
    offsets: offsets.subarray(from, to + 1).map(offset => offset - start),
  }
}
