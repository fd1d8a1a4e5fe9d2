/**
 * The order in which rows of files come that are not in memory, of nothing but the row groups' sizes, seed, epoch and rank: row groups are
 * shuffled and dealt over the ranks, as many of them as fit are a window, and rows are shuffled within it. Whoever knows the order knows where any
 * batch of it stands, and reads no row group before that.
 */
import { DataError } from '../errors.ts'
import type { Part } from './lists.ts'
import { randomStream, shuffled, shuffledOrder } from './shuffle.ts'

/** A row group that is not empty. */
export interface StreamGroup {
  /** Which file it is in, and which of its row groups it is. */
  file: number
  group: number
  /** Number of its first row in the file, and through all files in order. */
  row: number
  number: number
  rows: number
  /** What its rows take in memory. */
  bytes: number
}

/** Rows `from` to before `to` of a row group. */
interface Span {
  group: StreamGroup
  from: number
  to: number
}

/** Rows that are in memory together, which come in an order of their own. */
export interface StreamWindow {
  /** Which of the epoch's it is. */
  index: number
  /** In the order in which they are read. */
  spans: Span[]
  /** Where its rows begin among those of the rank's epoch, and how many there are. */
  start: number
  rows: number
}

/** How rows are dealt out. */
export interface DealOptions {
  shuffle: boolean
  seed: number
  /** What the row groups of a window may take together. */
  windowBytes: number
  part?: Part | undefined
}

const ALONE: Part = { rank: 0, size: 1 }

/** Rows of a rank: of all in a row, its even share. */
function shareOf(rows: number, { rank, size }: Part): [from: number, to: number] {
  return [Math.floor((rows * rank) / size), Math.floor((rows * (rank + 1)) / size)]
}

/** The windows of a rank's epoch. */
export function windowsOf(
  groups: readonly StreamGroup[],
  epoch: number,
  { shuffle, seed, windowBytes, part = ALONE }: DealOptions,
): StreamWindow[] {
  const order = shuffle ? shuffledOrder(groups.length, seed, epoch) : groups.keys()
  const [first, end] = shareOf(rowsIn(groups), part)
  const windows: StreamWindow[] = []
  let window: StreamWindow | undefined
  let [at, bytes] = [0, 0]
  for (const i of order) {
    const group = groups[i]!
    const from = Math.max(first - at, 0)
    const to = Math.min(end - at, group.rows)
    at += group.rows
    if (from >= to) continue
    if (!window || bytes + group.bytes > windowBytes) {
      const start: number = window ? window.start + window.rows : 0
      window = { index: windows.length, spans: [], start, rows: 0 }
      windows.push(window)
      bytes = 0
    }
    window.spans.push({ group, from, to })
    window.rows += to - from
    bytes += group.bytes
  }
  return windows
}

const rowsIn = (groups: readonly StreamGroup[]): number => groups.reduce((sum, { rows }) => sum + rows, 0)

/** The order in which a window's rows come. */
export function orderOf(
  { index, rows }: Pick<StreamWindow, 'index' | 'rows'>,
  epoch: number,
  { shuffle, seed }: Pick<DealOptions, 'shuffle' | 'seed'>,
  order: Uint32Array<ArrayBufferLike> = new Uint32Array(rows),
): Uint32Array<ArrayBufferLike> {
  if (shuffle) return shuffled(order, randomStream(seed, epoch, index))
  for (let i = 0; i < rows; i++) order[i] = i
  return order
}

/** How an epoch is cut into batches, which are as many for every rank. */
export interface Cuts {
  /** Batches an epoch. */
  count: number
  /** Rows of this rank an epoch. */
  rows: number
  /** Where batch `i` begins among them; of `count`, the end. */
  startOf(i: number): number
}

/**
 * Batches of `batchSize` rows; only the last ones of an epoch have fewer. A rank that has one row less than another, and would be a batch short by that, has the last
 * row of its last batch in a batch by itself.
 * @throws DataError for fewer rows than ranks, or a rest that batches of one row cannot be evened out by
 */
export function cutsOf(rows: number, batchSize: number, part: Part = ALONE): Cuts {
  const { size } = part
  if (rows < size)
    throw new DataError(`the data has ${rows} rows for ${size} ranks, expected at least one for each`)
  const [from, to] = shareOf(rows, part)
  const own = to - from
  const count = Math.ceil(Math.ceil(rows / size) / batchSize)
  const short = Math.ceil(own / batchSize) < count
  if (short && batchSize === 1)
    throw new DataError(
      `${rows} rows in batches of one are not as many for each of ${size} ranks, expected a larger per_device_train_batch_size, or rows that ${size} divides`,
    )
  const startOf = (i: number) => (short && i === count - 1 ? own - 1 : Math.min(i * batchSize, own))
  return { count, rows: own, startOf }
}

/** The numbers through all files of the rows at `from` to before `to` in a rank's epoch. */
export function rowsBetween(
  windows: readonly StreamWindow[],
  epoch: number,
  how: DealOptions,
  [from, to]: readonly [number, number],
): Uint32Array {
  const out: number[] = []
  for (const window of windows) {
    const end = window.start + window.rows
    if (end <= from || window.start >= to) continue
    const order = orderOf(window, epoch, how)
    for (let at = Math.max(from, window.start); at < Math.min(to, end); at++) {
      let row = order[at - window.start]!
      const span = window.spans.find(({ from, to }) => {
        if (row < to - from) return true
        row -= to - from
        return false
      })!
      out.push(span.group.number + span.from + row)
    }
  }
  return Uint32Array.from(out)
}
