/** Rows of files that need not fit into memory: what is known of them without reading any, and the choice between memory and stream. */
import { shown } from '../check.ts'
import { memorySize, shownSize } from '../config/memory-size.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { type Dataset, type FeatureReadOptions, loadDataset, type ReadOptions } from './dataset.ts'
import { columnOf, openParquet, type ParquetFile } from './parquet.ts'
import { parquetFiles } from './parquet-files.ts'
import { checkKinds, planFor } from './read-group.ts'
import type { Reading } from './read-plan.ts'
import { readingOf } from './reading.ts'
import type { StreamGroup } from './stream-plan.ts'
import { type FileMark, markOf, type StreamReading, WindowReader } from './stream-reader.ts'

/** Rows of files that are read anew each epoch, a window of row groups at a time. Made by {@link openDataset}. */
export interface StreamedDataset {
  /** Rows of all files. */
  readonly length: number
  /** Where each file's rows are. */
  readonly files: Dataset['files']
  /** Row groups with rows, in the order of the files. */
  readonly groups: readonly StreamGroup[]
  /** What the rows that are there at a time may take, in bytes: a quarter of the memory given, as one window is used while the next is read. */
  readonly windowBytes: number
  /** The first rows of the files, 4,096 at most, in memory. */
  readonly head: Dataset
  /** The files as they were when they were opened. */
  readonly marks: readonly FileMark[]
  /** What is read of them. */
  readonly reading: StreamReading
}

/** Rows that are looked at before an epoch begins. */
const HEAD_ROWS = 4096

/** How {@link openDataset} reads: as {@link loadDataset}, and within how much memory. */
export type StreamOptions = (ReadOptions | FeatureReadOptions) & {
  /** What rows may take in memory, as `'2GB'`, `'512MiB'` or bytes; model, device and the rest of the process come on top. */
  memory: string | number
}

/** Tells a stream from rows in memory. */
export const isStreamed = (data: unknown): data is StreamedDataset =>
  typeof data === 'object' && data !== null && 'windowBytes' in data && 'groups' in data

/** Of the memory given, the part that a window may take: one is used, one is read, and the rest is for decoding. */
const WINDOWS = 4

/**
 * Opens Parquet files to train on within some memory: in memory where the rows take half of it at most, exactly as {@link loadDataset} reads them, and as
 * a stream otherwise. A stream reads row groups in an order that seed and epoch decide, shuffles the rows of as many as fit, and reads ahead in a
 * thread; text, whose tokenizer cannot go there, is read in the caller's. Lists (a model with a `list` input) are not streamed: their rows may
 * stand anywhere.
 * @param sources Paths, folders and patterns ({@link parquetFiles}).
 * @throws DataError as loadDataset, for files whose columns differ, for a list, or naming file and row group of one that the memory does not hold; ConfigError for a memory
 * that is no size.
 *
 * @example
 * ```ts
 * import { openDataset } from 'kernelgrad/data'
 *
 * const train = await openDataset('clicks/', { inputs: model.inputs, memory: '2GB' })
 * ```
 */
export async function openDataset(
  sources: string | readonly string[],
  options: StreamOptions,
): Promise<Dataset | StreamedDataset> {
  const { memory, ...rest } = options ?? {}
  const reading = readingOf('openDataset', rest as ReadOptions)
  const bytes = memorySize('openDataset: memory', memory)
  const paths = await parquetFiles(sources, 'openDataset')
  const opened = await openFiles(paths, reading)
  const total = opened.groups.reduce((sum, group) => sum + group.bytes, 0)
  if (total <= bytes / 2)
    return loadDataset(
      opened.files.map(({ file }) => file),
      reading,
    )
  return streamed(opened, reading, bytes, total)
}

interface Opened {
  files: { file: ParquetFile; plan: Reading[]; mark: FileMark }[]
  groups: StreamGroup[]
  /** By group, what its largest column takes while it is decoded. */
  decoding: number[]
}

async function openFiles(paths: readonly string[], reading: ReadOptions): Promise<Opened> {
  const { inputs, trainOnly = 'required' } = reading
  const opened: Opened = { files: [], groups: [], decoding: [] }
  let number = 0
  for (const [index, path] of paths.entries()) {
    const mark = await markOf(path)
    const file = await openParquet(path)
    const plan = planFor(file, inputs, trainOnly)
    checkKinds(file, plan)
    expectAlike(opened.files[0], { file, plan })
    opened.files.push({ file, plan, mark })
    for (const [group, { rowStart, rows }] of file.groups.entries()) {
      if (rows === 0) continue
      const [bytes, decoding] = bytesOf(file, group, plan)
      opened.groups.push({ file: index, group, row: rowStart, number: number + rowStart, rows, bytes })
      opened.decoding.push(decoding)
    }
    number += file.rows
  }
  if (number === 0) throw new DataError(`${paths.join(', ')} ${paths.length > 1 ? 'have' : 'has'} no rows`)
  return opened
}

/** What is optional is read of all files or of none. */
function expectAlike(
  first: Opened['files'][number] | undefined,
  { file, plan }: Pick<Opened['files'][number], 'file' | 'plan'>,
): void {
  if (!first) return
  const differs = (a: Reading[], b: Reading[]) =>
    a.find(({ kind, key }) => !b.some(other => other.kind === kind && other.key === key))
  const [more, less] = [differs(first.plan, plan), differs(plan, first.plan)]
  if (more)
    throw new DataError(`${first.file.name} has column ${more.columns.join(', ')}, ${file.name} has none`)
  if (less)
    throw new DataError(`${file.name} has column ${less.columns.join(', ')}, ${first.file.name} has none`)
}

/** Letters that make a token, of texts: most have more. And tokens of a row, where a dictionary hides how long texts are. */
const [LETTERS, TOKENS] = [2, 16]

/** What a row group takes in memory, by its footer, and its largest column while it is decoded. */
function bytesOf(
  file: ParquetFile,
  group: number,
  plan: readonly Reading[],
): [kept: number, decoding: number] {
  const { rows } = file.groups[group]!
  // Each row's number in the order.
  let kept = 4 * rows
  let decoding = 0
  for (const { kind, columns } of plan) {
    for (const name of columns) {
      const leaf = columnOf(file, name)
      const meta = file.metadata.row_groups[group]!.columns[leaf.index]?.meta_data
      const values = Number(meta?.num_values ?? rows)
      const raw = Number(meta?.total_uncompressed_size ?? 0)
      if (kind === 'list') kept += 4 * (rows + 1 + values)
      else if (kind === 'text') kept += 4 * (rows + 1) + Math.max((4 * raw) / LETTERS, 4 * TOKENS * rows)
      else kept += 4 * rows
      // Pages as read and unpacked; values, indexes and levels of both kinds; the strings of texts.
      decoding = Math.max(decoding, 2 * raw + values * (kind === 'text' ? 64 : 26))
    }
  }
  return [Math.ceil(kept), decoding]
}

async function streamed(
  { files, groups, decoding }: Opened,
  reading: ReadOptions,
  memory: number,
  total: number,
): Promise<StreamedDataset> {
  const { inputs, trainOnly = 'required', tokenize, tokenizers } = reading
  const there = new Set(files[0]!.plan.flatMap(({ kind, key }) => (kind === 'ids' ? key : [])))
  const list = Object.entries(inputs).find(
    ([, input]) => input.kind === 'list' && input.columns.every(key => there.has(key)),
  )
  if (list)
    throw new DataError(
      `the rows take about ${shownSize(total)} and memory is ${shownSize(memory)}: rows of lists ('${list[0]}') may stand anywhere and are not streamed; expected memory of ${shownSize(2 * total)} or more, or none given`,
    )
  const windowBytes = Math.floor(memory / WINDOWS)
  for (const [i, group] of groups.entries()) {
    const needed = Math.max(WINDOWS * group.bytes, 2 * decoding[i]!)
    if (needed > memory)
      throw new DataError(
        `${files[group.file]!.file.name}: row group ${group.group}: its ${group.rows} rows need memory of ${shownSize(needed)}, and memory is ${shownSize(memory)}; expected more memory, or files of smaller row groups`,
      )
  }
  const marks = files.map(({ mark }) => mark)
  const streamReading: StreamReading = { inputs, trainOnly, tokenize, tokenizers }
  let rows = 0
  const all = files.map(({ file }) => {
    rows += file.rows
    return { name: file.name, rowStart: rows - file.rows, rows: file.rows }
  })
  const head = await headOf(new WindowReader(marks, streamReading), groups, all)
  return { length: rows, files: all, groups, windowBytes, head, marks, reading: streamReading }
}

async function headOf(
  reader: WindowReader,
  groups: readonly StreamGroup[],
  files: Dataset['files'],
): Promise<Dataset> {
  const spans: { group: StreamGroup; from: number; to: number }[] = []
  let rows = 0
  for (const group of groups) {
    const to = Math.min(group.rows, HEAD_ROWS - rows)
    if (to <= 0) break
    spans.push({ group, from: 0, to })
    rows += to
  }
  const window = { index: 0, spans, start: 0, rows }
  const { columns } = await reader.read({ window, epoch: 0, shuffle: false, seed: 0 })
  // They are the first rows of all: numbers are as in the files.
  const { parts: _, ...plain } = columns
  return { ...plain, files }
}

/** @throws ArgumentError for what is no stream */
export function expectStreamed(where: string, data: unknown): asserts data is StreamedDataset {
  if (!isStreamed(data))
    throw new ArgumentError(`${where}: data is ${shown(data)}, expected a stream from openDataset()`)
}
