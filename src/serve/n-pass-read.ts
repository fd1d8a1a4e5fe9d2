// Candidates of a file as the passes of a ranker read them: everything is checked before anything is scored.
import { expectFlag, expectOptions, shown } from '../check.ts'
import {
  type Columns,
  type Dataset,
  loadDataset,
  openParquet,
  type ParquetFile,
  readColumns,
} from '../data/index.ts'
import { listsOf, unitsOf } from '../data/lists.ts'
import { columnOf } from '../data/parquet.ts'
import { checkTextLengths } from '../data/place.ts'
import type { ParquetSource } from '../data/source.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { type TextInput, textLists } from '../inputs.ts'
import { readOptions } from '../models/index.ts'
import { expectKeys } from './n-pass-config.ts'
import { inPass, type Kept, type Stage } from './n-pass-stage.ts'
import type { VectorId } from './vector-cache.ts'
import { idsOf } from './vector-file.ts'

/** How lists are told apart, and what tells their candidates apart. */
export interface CandidateOptions {
  /** Columns whose values tell lists apart. Several passes need one or more. */
  keys?: readonly string[]
  /** Column that names candidates in what is written; that of the first pass with vectors unless given, or else the row's number, as `row`. */
  id?: string
  /** Cut texts with more tokens than a model has positions, where they would be an error. */
  truncate?: boolean
}

/** What one pass reads. */
export interface StageData {
  columns: Columns
  /** By row, which vector it takes. */
  places?: Uint32Array
  /** By row, which text of the other side it has: rows with the same text share a number, so that it is encoded once. */
  texts?: Uint32Array
}

/** The candidates of a file, list by list, checked for all passes. */
export interface Candidates {
  /** Name of the file. */
  file: string
  /** The columns that tell lists apart, and their values by row. */
  keys: Record<string, VectorId[]>
  /** The column that names candidates; 'row' where they are numbered. */
  idColumn: string
  /** By row. */
  ids: VectorId[]
  /** Rows of the file, list after list; lists and their rows in the order of the file. */
  rows: Uint32Array
  /** Where each list begins in `rows`, and their end. */
  starts: Uint32Array
  truncate: boolean
  /** What each pass reads. */
  stages: StageData[]
}

/**
 * Reads candidates for some passes, all of them into memory: about 4 bytes a value and pass.
 * @throws DataError or ConfigError naming file and pass, and column, row and value of what cannot be
 */
export async function readForPasses(
  where: string,
  stages: readonly Stage[],
  source: ParquetSource | ParquetFile,
  options: CandidateOptions,
): Promise<Candidates> {
  expectOptions(`${where}: options`, options, ['keys', 'id', 'truncate'])
  const { keys = [], truncate = false } = options
  if (!Array.isArray(keys) || !keys.every(key => typeof key === 'string' && key))
    throw new ArgumentError(`${where}: keys is ${shown(keys)}, expected names of columns`)
  expectFlag(`${where}: truncate`, truncate)
  expectKeys(where, keys, stages.length)
  if (options.id !== undefined && (typeof options.id !== 'string' || !options.id))
    throw new ArgumentError(`${where}: id is ${shown(options.id)}, expected the name of a column`)
  const file = await fileOf(source)
  const { name, rows: length } = file
  if (!length) throw new DataError(`${name} has no rows: there is no query, and no candidate`)
  const own = options.id ?? stages.find(({ kept }) => kept)?.kept?.id
  // Columns that are not there are told before any is read.
  for (const key of keys) expectIds(file, key, 'as a key')
  for (const { where: pass, kept } of stages)
    if (kept) await inPass(pass, () => expectIds(file, kept.id, 'as the id of its vectors'))
  if (own !== undefined) expectIds(file, own, 'as the id')
  const values = async (column: string) =>
    idsOf((await readColumns(file, [column]))[column]!, `${name}: column ${column}`, 0)
  const byKey: Record<string, VectorId[]> = {}
  for (const key of keys) byKey[key] = await values(key)
  const ids =
    own === undefined ? Array.from({ length }, (_, row) => row) : (byKey[own] ?? (await values(own)))
  const data: StageData[] = []
  for (const [i, stage] of stages.entries())
    data.push(
      await inPass(stage.where, async () => {
        const read = await readStage(stage, file, truncate, async id =>
          id === own ? ids : (byKey[id] ?? (await values(id))),
        )
        // Lists that the model reads may be too long for it, where it is given all of them.
        if (stages.slice(0, i).every(({ k }) => k === undefined))
          unitsOf(read.columns, stage.inputs, { whole: true })
        return read
      }),
    )
  const [rows, starts] = listsOf(Object.values(byKey), length)
  if (own !== undefined) refuseTwice(name, own, ids, byKey, rows, starts)
  return { file: name, keys: byKey, idColumn: own ?? 'row', ids, rows, starts, truncate, stages: data }
}

/** An open file, of what names it. */
export const fileOf = async (source: ParquetSource | ParquetFile): Promise<ParquetFile> =>
  typeof source === 'object' && source !== null && 'groups' in source ? source : openParquet(source)

/** @throws ArgumentError for what no ranker read */
export function expectCandidates(where: string, candidates: unknown): asserts candidates is Candidates {
  const { rows, starts, keys, ids } = Object(candidates) as Partial<Candidates>
  const told = rows instanceof Uint32Array && starts instanceof Uint32Array && Array.isArray(ids)
  if (told && typeof keys === 'object' && keys !== null) return
  throw new ArgumentError(
    `${where}: candidates is ${shown(candidates)}, expected what read() of a ranker gave`,
  )
}

function expectIds(file: ParquetFile, column: string, as: string): void {
  const { list, kind, description } = columnOf(file, column)
  if (list || kind === 'other')
    throw new DataError(
      `${file.name}: column ${column} is ${description}, which is read ${as}; expected a whole number or text a row`,
    )
}

/**
 * A candidate that stands twice in a list would take two of the places that a pass keeps, and two ranks.
 * @throws DataError naming column, both rows and the list
 */
function refuseTwice(
  file: string,
  column: string,
  ids: readonly VectorId[],
  keys: Record<string, VectorId[]>,
  rows: Uint32Array,
  starts: Uint32Array,
): void {
  for (let list = 0; list + 1 < starts.length; list++) {
    const first = new Map<VectorId, number>()
    for (const row of rows.subarray(starts[list], starts[list + 1])) {
      const other = first.get(ids[row]!)
      if (other === undefined) {
        first.set(ids[row]!, row)
        continue
      }
      const names = Object.keys(keys).map(key => `${key} ${shown(keys[key]![row])}`)
      throw new DataError(
        `${file}: column ${column}: row ${row} has ${shown(ids[row])}, as row ${other} of the same list${names.length ? ` (${names.join(', ')})` : ''}, expected a candidate once in a list; name another column with id (--id), or more keys (--keys)`,
      )
    }
  }
}

async function readStage(
  { model, inputs, kept }: Stage,
  file: ParquetFile,
  truncate: boolean,
  idsBy: (column: string) => Promise<VectorId[]>,
): Promise<StageData> {
  const { tokenizer } = model
  const columns: Dataset = await loadDataset(file, readOptions({ inputs, tokenizer }, 'none'))
  if (!truncate) checkTextLengths(columns, inputs)
  if (!kept) return { columns }
  const places = placesOf(kept, await idsBy(kept.id), file.name)
  return { columns, places, texts: textsOf(columns, inputs[kept.other] as TextInput) }
}

/** @throws DataError naming the row whose id has no vector */
function placesOf({ places, id }: Kept, ids: readonly VectorId[], file: string): Uint32Array {
  return Uint32Array.from(ids, (value, row) => {
    const place = places.get(value)
    if (place === undefined)
      throw new DataError(
        `${file}: column ${id}, row ${row}: id ${shown(value)} is not among the ${places.size} vectors; make them of all candidates, by kernelgrad embed`,
      )
    return place
  })
}

/** Numbers rows by their text, in the order that texts appear. */
function textsOf(columns: Columns, input: TextInput): Uint32Array {
  const lists = textLists(input).map(({ key }) => columns.lists[key]!)
  const known = new Map<string, number>()
  return Uint32Array.from({ length: columns.length }, (_, row) => {
    const key = lists
      .map(({ values, offsets }) => values.subarray(offsets[row], offsets[row + 1]).join(' '))
      .join('|')
    const text = known.get(key) ?? known.size
    if (text === known.size) known.set(key, text)
    return text
  })
}
