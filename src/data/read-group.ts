// The rows of one row group, checked, as a plan names them.
import { ConfigError } from '../errors.ts'
import type { Inputs } from '../inputs.ts'
import { type ColumnSpec, floatColumn, idColumn, listColumn, type TokenLists, textColumn } from './columns.ts'
import type { Columns, ReadOptions } from './dataset.ts'
import { columnOf, type ParquetFile, readGroupPages } from './parquet.ts'
import { planOf, type Reading, type TrainOnly } from './read-plan.ts'

/**
 * What is read of a file. Every column is looked up: a missing one is reported before a long read, also in a file without rows.
 * @throws DataError naming file and column
 */
export function planFor(file: ParquetFile, inputs: Inputs, trainOnly: TrainOnly): Reading[] {
  const plan = planOf(inputs, trainOnly, new Set([...file.columns, ...Object.keys(file.partition ?? {})]))
  for (const { columns, input } of plan) for (const name of columns) columnOf(file, name, input)
  return plan
}

/** Columns as they are read of a group. */
export type GroupColumns = Pick<Columns, 'lists' | 'ids' | 'floats'>

type PagesOf = Awaited<ReturnType<typeof readGroupPages>>

/**
 * Reads a row group.
 * @throws DataError naming file, column, row and value of the first bad value; ConfigError where text has no `tokenize`
 */
export async function readGroup(
  file: ParquetFile,
  group: number,
  plan: readonly Reading[],
  { tokenize, tokenizers }: Pick<ReadOptions, 'tokenize' | 'tokenizers'>,
): Promise<GroupColumns> {
  const { rowStart, rows } = file.groups[group]!
  const read = async <T>(name: string, convert: (pages: PagesOf, spec: ColumnSpec) => T): Promise<T> => {
    const leaf = columnOf(file, name)
    return convert(await readGroupPages(file, group, leaf), { file: file.name, leaf, rowStart, rows })
  }
  const out: GroupColumns = { lists: {}, ids: {}, floats: {} }
  for (const reading of plan) {
    const { kind, key, columns, limit, tokenizer } = reading
    const [name] = columns as [string]
    if (kind === 'text') {
      const texts: string[][] = []
      for (const name of columns) texts.push(await read(name, textColumn))
      const own = tokenizer === undefined ? tokenize : tokenizers?.[tokenizer]
      out.lists[key] = tokenizeAll(texts, name, own, limit)
    } else if (kind === 'list')
      out.lists[key] = await read(name, (pages, spec) => listColumn(pages, spec, limit))
    else if (kind === 'ids') out.ids[key] = await read(name, (pages, spec) => idColumn(pages, spec, limit))
    else {
      const { least, missing } = reading
      out.floats[key] = await read(name, (pages, spec) => floatColumn(pages, spec, least, missing))
    }
  }
  return out
}

/** Whether the columns of a plan are of the kinds it reads, as far as the footer tells. @throws DataError naming file and column */
export function checkKinds(file: ParquetFile, plan: readonly Reading[]): void {
  for (const { kind, columns, limit } of plan)
    for (const name of columns) {
      const spec = { file: file.name, leaf: columnOf(file, name), rowStart: 0, rows: 0 }
      if (kind === 'list') listColumn([], spec, limit)
      else if (kind === 'text') textColumn([], spec)
      else if (kind === 'ids') idColumn([], spec, limit)
      else floatColumn([], spec)
    }
}

function tokenizeAll(
  texts: string[][],
  name: string,
  tokenize: ReadOptions['tokenize'],
  vocabSize: number,
): TokenLists {
  if (!tokenize)
    throw new ConfigError(`feature ${name} is text and no tokenizer is given, expected a tokenize function`)
  const rows = texts[0]!.length
  const offsets = new Uint32Array(rows + 1)
  const values: number[] = []
  for (let row = 0; row < rows; row++) {
    const text = texts.map(column => column[row]!).join(' ')
    const ids = tokenize(text)
    for (let i = 0; i < ids.length; i++) {
      if (!(ids[i]! >= 0 && ids[i]! < vocabSize))
        throw new ConfigError(
          `the tokenizer gave token id ${ids[i]} for ${JSON.stringify(text)}, expected 0 to ${vocabSize - 1}`,
        )
      values.push(ids[i]!)
    }
    offsets[row + 1] = values.length
  }
  return { values: Uint32Array.from(values), offsets }
}
