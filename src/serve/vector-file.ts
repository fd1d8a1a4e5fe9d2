// Vectors in Parquet: ids, a list a row, and what they are from in the file's key-values.
import { expectOptions, shown } from '../check.ts'
import { writeParquetGroups } from '../data/index.ts'
import {
  columnOf,
  isParquetFile,
  openParquet,
  type ParquetFile,
  readColumns,
  readGroupPages,
} from '../data/parquet.ts'
import type { ParquetSource } from '../data/source.ts'
import { ArgumentError, DataError } from '../errors.ts'
import {
  addIds,
  checkCache,
  checkFinite,
  idOf,
  type Places,
  type VectorCache,
  type VectorId,
  type VectorStorage,
} from './vector-cache.ts'

/** What says in a file that it holds vectors, and how. */
const KEY = 'kernelgrad.vectors'
const VERSION = 1
/** Name of the column of vectors. */
const VECTOR = 'vector'
const ROWS = 10_000

/** All of a cache but its rows. */
export type VectorHead = Omit<VectorCache, 'ids' | 'vectors'>

/** Some rows of a cache. */
export type VectorRows = Pick<VectorCache, 'ids' | 'vectors'>

/**
 * Writes vectors as they come; the file appears once it is whole.
 * @throws DataError for ids of two kinds, an id that comes twice, or a number that is not finite: no file appears
 */
export async function writeVectorRows(
  path: string,
  head: VectorHead,
  groups: AsyncIterable<VectorRows>,
): Promise<number> {
  const places: Places = new Map()
  // Whether ids are text is known from the first of them.
  const iterator = groups[Symbol.asyncIterator]()
  const first = await iterator.next()
  const text = !first.done && typeof first.value.ids[0] === 'string'
  const { size, storage, idColumn } = head
  const expected = text ? 'text' : 'a whole number'
  async function* rows() {
    for (let next = first; !next.done; next = await iterator.next()) {
      const { ids, vectors } = next.value
      const start = places.size
      const other = ids.findIndex(id => (typeof id === 'string') !== text)
      if (other >= 0)
        throw new DataError(
          `${path}: row ${start + other}: id ${shown(ids[other])}, expected ${expected}, as the first row's`,
        )
      addIds(places, ids, path)
      checkFinite(path, vectors, size, start)
      const each = ids.map((_, row) => vectors.subarray(row * size, (row + 1) * size))
      yield { [idColumn]: ids, [VECTOR]: each }
    }
  }
  const columns = [
    { name: idColumn, kind: text ? ('string' as const) : ('int64' as const) },
    { name: VECTOR, kind: storage === 'bytes' ? ('list<uint8>' as const) : ('list<float>' as const) },
  ]
  const { side, fingerprint } = head
  const told = JSON.stringify({ version: VERSION, side, size, storage, fingerprint, id_column: idColumn })
  await writeParquetGroups(path, columns, rows(), { metadata: { [KEY]: told } })
  return places.size
}

/**
 * Writes a cache of vectors to a Parquet file, under a temporary name first: a column of ids, a column `vector` of lists, and side, size, storage
 * and fingerprint in the file's key-values.
 *
 * @throws ArgumentError or DataError for what no cache can be; DataError naming the path where it cannot be written
 */
export async function writeVectors(path: string, cache: VectorCache): Promise<void> {
  if (typeof path !== 'string' || !path)
    throw new ArgumentError(`writeVectors: path is ${shown(path)}, expected a path`)
  checkCache('writeVectors: cache', cache)
  const { ids, vectors, ...head } = cache
  async function* groups() {
    for (let start = 0; start < ids.length; start += ROWS)
      yield {
        ids: ids.slice(start, start + ROWS),
        vectors: vectors.subarray(start * head.size, (start + ROWS) * head.size),
      }
  }
  await writeVectorRows(path, head, groups())
}

/**
 * Reads a file of vectors that {@link writeVectors} or `kernelgrad embed` wrote.
 *
 * @param options.storage Refuses a file of the other storage.
 * @throws DataError naming the file, and the row and column, for what is no such file, an id that is null or there twice, a vector that is null, of another
 * size, or has a number that is null or not finite
 *
 * @example
 * ```ts
 * import { readVectors } from 'kernelgrad/serve'
 *
 * const cache = await readVectors('ads.vectors.parquet')
 * console.log(cache.ids.length, cache.size, cache.storage)
 * ```
 */
export async function readVectors(
  source: ParquetSource | ParquetFile,
  options: { storage?: VectorStorage } = {},
): Promise<VectorCache> {
  expectOptions('readVectors: options', options, ['storage'])
  const file = isParquetFile(source) ? source : await openParquet(source)
  const head = headOf(file)
  const { storage } = options
  if (storage !== undefined && storage !== head.storage)
    throw new DataError(`${file.name}: vectors are stored as ${head.storage}, expected ${storage}`)
  const values = await readColumns(file, [head.idColumn])
  const ids = values[head.idColumn]!.map((value, row) =>
    idOf(value, () => `${file.name}: column ${head.idColumn}, row ${row}`),
  )
  addIds(new Map(), ids, `${file.name}: column ${head.idColumn}`)
  return { ...head, ids, vectors: await readLists(file, head) }
}

function headOf(file: ParquetFile): VectorHead {
  const { name, metadata } = file
  const text = metadata.key_value_metadata?.find(({ key }) => key === KEY)?.value
  if (text === undefined)
    throw new DataError(
      `${name} is no file of vectors: its key-values have no ${KEY}; kernelgrad embed writes one`,
    )
  let told: Record<string, unknown>
  try {
    told = JSON.parse(text)
  } catch (error) {
    throw new DataError(`${name}: ${KEY} is ${shown(text)}, expected JSON`, { cause: error })
  }
  if (told?.version !== VERSION)
    throw new DataError(`${name}: ${KEY} has version ${shown(told?.version)}, expected ${VERSION}`)
  const { side, size, storage, fingerprint, id_column: idColumn } = told
  const head = { side, size, storage, fingerprint, idColumn } as VectorHead
  try {
    checkCache(`${name}: ${KEY}`, {
      ...head,
      ids: [],
      vectors: storage === 'bytes' ? new Uint8Array() : new Float32Array(),
    })
  } catch (error) {
    throw new DataError((error as Error).message, { cause: error })
  }
  return head
}

/** Row after row; lists never become arrays of arrays. */
async function readLists(file: ParquetFile, { size, storage }: VectorHead): Promise<VectorCache['vectors']> {
  const where = `${file.name}: column ${VECTOR}`
  const leaf = columnOf(file, VECTOR)
  if (!leaf.list || leaf.kind !== 'number')
    throw new DataError(`${where} is ${leaf.description}, expected a list of numbers`)
  const out = storage === 'bytes' ? new Uint8Array(file.rows * size) : new Float32Array(file.rows * size)
  let [row, at] = [-1, size] // the row, and how many of its numbers are there
  const endRow = () => {
    if (at !== size) throw new DataError(`${where}, row ${row}: ${at} numbers, expected ${size}`)
  }
  for (const group of file.groups.keys()) {
    for (const { count, values, indexes, definition, repetition } of await readGroupPages(
      file,
      group,
      leaf,
    )) {
      let next = 0
      for (let i = 0; i < count; i++) {
        if (!repetition || repetition[i] === 0) {
          endRow()
          row++
          at = 0
        }
        const level = definition ? definition[i]! : leaf.maxDefinition
        if (level < leaf.elementDefinition - 1)
          throw new DataError(`${where}, row ${row}: null, expected ${size} numbers`)
        if (level < leaf.elementDefinition) continue // an empty list
        if (level < leaf.maxDefinition)
          throw new DataError(`${where}, row ${row}: number ${at} is null, expected a finite number`)
        const value = Number(values[indexes ? indexes[next++]! : next++])
        if (at >= size) throw new DataError(`${where}, row ${row}: more than ${size} numbers`)
        const fits =
          storage === 'bytes' ? Number.isInteger(value) && value >= 0 && value < 256 : Number.isFinite(value)
        if (!fits)
          throw new DataError(
            `${where}, row ${row}: number ${at} is ${value}, expected ${storage === 'bytes' ? 'a whole number from 0 to 255' : 'a finite number'}`,
          )
        out[row * size + at++] = value
      }
    }
  }
  endRow()
  return out
}

/** Rows of an id column of `rows`, as ids. */
export const idsOf = (values: ArrayLike<unknown>, where: string, rowStart: number): VectorId[] =>
  Array.from(values, (value, i) => idOf(value, () => `${where}, row ${rowStart + i}`))
