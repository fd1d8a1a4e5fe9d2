// Rows that belong together: what an order counts and a batch never splits, a row where a model reads no lists.
import { ConfigError, DataError } from '../errors.ts'
import type { Inputs, ListInput } from '../inputs.ts'
import { badValue, isId } from './check-columns.ts'
import { range } from './columns.ts'
import type { Columns } from './dataset.ts'
import { placeOf } from './place.ts'

/** What batches are cut of: lists, in the order of their first rows, or rows. */
export interface Units {
  /** How many there are. */
  count: number
  /** Whether they are lists. */
  lists: boolean
  /** Rows of all of them. */
  rows: number
  /** Rows of the longest. */
  longest: number
  /** Rows of one. */
  sizeOf(unit: number): number
  /** The rows of some, one unit after the other; those of a list in the order of the data. */
  rowsOf(order: Uint32Array): Uint32Array
}

const VALUES = 2 ** 32

/** Units that are rows. */
export const rowUnits = (count: number): Units => ({
  count,
  lists: false,
  rows: count,
  longest: Math.min(count, 1),
  sizeOf: () => 1,
  rowsOf: order => order,
})

/**
 * @param options.whole Whether a list that may be cut is taken whole, so that every row has a score.
 * @param options.among The rows that count, as those that an earlier model let through; all unless given.
 * @throws DataError for a value that is no whole number, a list that is longer than it may be, or one that the order names and is not there
 */
export function unitsOf(
  columns: Columns,
  inputs: Inputs,
  { whole = false, among }: { whole?: boolean; among?: Uint32Array | undefined } = {},
): Units {
  const input = Object.values(inputs).find(one => one.kind === 'list')
  if (!input?.columns.every(name => Object.hasOwn(columns.ids, name))) {
    const rows = rowUnits(among?.length ?? columns.length)
    return among ? { ...rows, rowsOf: order => order.map(i => among[i]!) } : rows
  }
  const all = rowsByList(columns, input)
  const [rows, starts] = withinLength(columns, input, among ? onlyOf(among, all) : all, whole)
  const count = starts.length - 1
  const expectList = (list: number) => {
    if (!(list < count))
      throw new DataError(`list ${list} is asked for, the data has lists 0 to ${count - 1}`)
  }
  const sizeOf = (list: number) => starts[list + 1]! - starts[list]!
  return {
    count,
    lists: true,
    rows: rows.length,
    longest: longestOf(starts),
    sizeOf,
    rowsOf(order) {
      order.forEach(expectList)
      const out = new Uint32Array(order.reduce((sum, list) => sum + sizeOf(list), 0))
      let at = 0
      for (const list of order) {
        const part = rows.subarray(starts[list], starts[list + 1])
        out.set(part, at)
        at += part.length
      }
      return out
    },
  }
}

/** How an order is cut into batches. */
export interface BatchSize {
  /** Units a batch; the last one of an order has what is left. */
  batchSize: number
  /** About so many rows a batch, of whole lists, in its place. */
  batchRows?: number | null | undefined
}

/**
 * Where the batches of an order begin, and its end, [batches + 1]. By rows, the order is cut into parts of equal rows, at most `batchRows` where
 * the lists are short beside that, and a list goes where its first row lies: batches differ by less than a list, none is empty, and there are as
 * many of them in whatever order the lists come.
 * @throws ConfigError for rows that the longest list does not fit into, or of data without lists
 */
export function batchStarts(
  units: Units,
  order: Uint32Array,
  { batchSize, batchRows }: BatchSize,
): Uint32Array {
  if (batchRows === undefined || batchRows === null) {
    const count = Math.ceil(order.length / batchSize)
    return Uint32Array.from({ length: count + 1 }, (_, i) => Math.min(i * batchSize, order.length))
  }
  if (!units.lists)
    throw new ConfigError(
      `batches of ${batchRows} rows (per_device_train_batch_rows) are of lists that stay whole, and no lists are read; expected per_device_train_batch_size alone`,
    )
  if (units.longest > batchRows)
    throw new ConfigError(
      `batches of ${batchRows} rows (per_device_train_batch_rows) do not hold the longest list, which has ${units.longest}, expected as many or more; or a lower 'longest', which cuts it`,
    )
  const rows = order.reduce((sum, list) => sum + units.sizeOf(list), 0)
  const count = batchesByRows(rows, units.longest, batchRows)
  const starts = new Uint32Array(count + 1)
  let [batch, at] = [0, 0]
  for (let i = 0; i < order.length; i++) {
    // The first list whose first row lies in a part begins its batch.
    while (batch < count && at * count >= batch * rows) starts[batch++] = i
    at += units.sizeOf(order[i]!)
  }
  starts.fill(order.length, batch)
  return starts
}

/** One of several processes, and how many there are. */
export interface Part {
  rank: number
  size: number
}

/**
 * Of a batch's units, those of one of several processes: consecutive ones, as many for each as can be, the first with one more where they do not come out
 * even. None, where there are fewer units than processes.
 */
export function partOf(batch: Uint32Array, { rank, size }: Part): Uint32Array {
  const at = (r: number) => Math.ceil((r * batch.length) / size)
  return batch.subarray(at(rank), at(rank + 1))
}

const batchesByRows = (rows: number, longest: number, batchRows: number): number =>
  rows ? Math.max(1, Math.min(Math.ceil(rows / batchRows), Math.floor(rows / longest))) : 0

/** Batches of all units. @throws as {@link batchStarts} */
export function batchCount(units: Units, size: BatchSize): number {
  if (size.batchRows === undefined || size.batchRows === null) return Math.ceil(units.count / size.batchSize)
  batchStarts(units, new Uint32Array(0), size)
  return batchesByRows(units.rows, units.longest, size.batchRows)
}

function longestOf(starts: Uint32Array): number {
  let longest = 0
  for (let list = 0; list + 1 < starts.length; list++)
    longest = Math.max(longest, starts[list + 1]! - starts[list]!)
  return longest
}

/** The rows list by list, and where each list starts. */
function rowsByList({ ids, length, rowStart }: Columns, { columns }: ListInput): [Uint32Array, Uint32Array] {
  for (const name of columns)
    for (let row = 0; row < length; row++) {
      const value = ids[name]![row]!
      if (!isId(value, VALUES)) badValue(name, rowStart + row, value, range(VALUES))
    }
  const keys = columns.map(name => ids[name]!)
  return listsOf(keys, length)
}

/**
 * The rows list by list, in the order of their first rows, and where each list starts. Rows are of one list where all keys are the same; without
 * keys, all are.
 */
export function listsOf(
  keys: readonly ArrayLike<number | string | bigint>[],
  length: number,
): [rows: Uint32Array, starts: Uint32Array] {
  // The list of each row by the columns so far.
  let list = new Uint32Array(length)
  let count = Math.min(length, 1)
  for (const values of keys) {
    ;[list, count] = numberPairs(list, values instanceof Uint32Array ? values : numbered(values, length))
  }
  const starts = new Uint32Array(count + 1)
  for (const at of list) starts[at + 1]!++
  for (let l = 0; l < count; l++) starts[l + 1]! += starts[l]!
  const next = starts.slice()
  const rows = new Uint32Array(length)
  for (let row = 0; row < length; row++) rows[next[list[row]!]!++] = row
  return [rows, starts]
}

/** What is left of the lists of some rows; those of which nothing is are no lists. */
function onlyOf(among: Uint32Array, [rows, starts]: [Uint32Array, Uint32Array]): [Uint32Array, Uint32Array] {
  const wanted = new Uint8Array(rows.length)
  for (const row of among) wanted[row] = 1
  const [left, ends] = [rows.filter(row => wanted[row]), [0]]
  for (let list = 0, end = 0; list + 1 < starts.length; list++) {
    for (let i = starts[list]!; i < starts[list + 1]!; i++) end += wanted[rows[i]!]!
    if (end > ends.at(-1)!) ends.push(end)
  }
  return [left, Uint32Array.from(ends)]
}

/** A number for each different value: those that are no Uint32Array are few enough for a Map. */
function numbered(values: ArrayLike<number | string | bigint>, length: number): Uint32Array {
  const known = new Map<number | string | bigint, number>()
  return Uint32Array.from({ length }, (_, row) => {
    const at = known.get(values[row]!) ?? known.size
    if (at === known.size) known.set(values[row]!, at)
    return at
  })
}

/** Numbers pairs in the order they appear: a hash table in typed arrays, since a Map holds 2^24 keys at most. */
function numberPairs(a: Uint32Array, b: ArrayLike<number>): [Uint32Array<ArrayBuffer>, number] {
  const { length } = a
  const mask = 2 ** Math.ceil(Math.log2(2 * length + 2)) - 1
  const table = new Uint32Array(mask + 1) // the row where a pair appeared first, plus 1
  const numbers = new Uint32Array(length)
  let count = 0
  for (let row = 0; row < length; row++) {
    let slot = hash(a[row]!, b[row]!) & mask
    for (;;) {
      const first = table[slot]!
      if (!first) {
        table[slot] = row + 1
        numbers[row] = count++
        break
      }
      if (a[first - 1] === a[row] && b[first - 1] === b[row]) {
        numbers[row] = numbers[first - 1]!
        break
      }
      slot = (slot + 1) & mask
    }
  }
  return [numbers, count]
}

/** The finalizer of MurmurHash3, over both. */
function hash(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ b
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** The rows and starts of lists that are as long as they may be. */
function withinLength(
  data: Columns,
  { columns, longest = Number.POSITIVE_INFINITY, longer = 'refuse' }: ListInput,
  [rows, starts]: [Uint32Array, Uint32Array],
  whole: boolean,
): [Uint32Array, Uint32Array] {
  const count = starts.length - 1
  const sizeOf = (list: number) => starts[list + 1]! - starts[list]!
  let long = 0
  while (long < count && sizeOf(long) <= longest) long++
  if (long === count || (whole && longer === 'cut')) return [rows, starts]
  if (longer === 'refuse') {
    const row = rows[starts[long]!]!
    const keys = columns.map(name => `${name} ${data.ids[name]![row]}`).join(', ')
    throw new DataError(
      `the list of ${keys}, first in ${placeOf(data, row)}, has ${sizeOf(long)} rows, expected at most ${longest}; longer: 'cut' trains on its first rows`,
    )
  }
  const kept = new Uint32Array(count + 1)
  for (let list = 0; list < count; list++) kept[list + 1] = kept[list]! + Math.min(sizeOf(list), longest)
  const out = new Uint32Array(kept[count]!)
  for (let list = 0; list < count; list++)
    out.set(rows.subarray(starts[list], starts[list]! + kept[list + 1]! - kept[list]!), kept[list])
  return [out, kept]
}

/**
 * Where the lists of a batch start, [lists + 1].
 * @param rows the batch's, list after list.
 * @param source their numbers, for messages.
 * @throws DataError for rows of one list that are apart, or a row that is there twice: of a list that is taken twice, both would be one
 */
export function startsOf(
  columns: readonly ArrayLike<number>[],
  rows: ArrayLike<number>,
  source: readonly number[],
): number[] {
  const starts: number[] = []
  const seen = new Set<string>()
  const taken = new Set<number>()
  let last: string | undefined
  for (let b = 0; b < rows.length; b++) {
    if (taken.size === taken.add(rows[b]!).size)
      throw new DataError(
        `row ${source[b]} stands twice in the batch, expected each row of a list once; take a list twice in batches of their own`,
      )
    const key = columns.map(values => values[rows[b]!]).join(' ')
    if (key === last) continue
    if (seen.has(key))
      throw new DataError(
        `row ${source[b]} is of a list whose other rows stand before others in the batch, expected the rows of a list side by side`,
      )
    seen.add(key)
    starts.push(b)
    last = key
  }
  return [...starts, rows.length]
}
