// What a run's evaluation rows are told apart by, and called by, in its report.
import type { Dataset } from '../data/index.ts'
import { listsOf } from '../data/lists.ts'
import { columnOf, openParquet, readColumns } from '../data/parquet.ts'
import { DataError, UsageError } from '../errors.ts'
import type { Inputs } from '../inputs.ts'
import { groupNames } from '../metrics/judged-lists.ts'
import type { Model } from '../models/index.ts'
import { namesOf, type PreparationDocument } from '../prepare/document.ts'
import { Preparation } from '../prepare/index.ts'
import type { RawColumns } from '../train/explain/features.ts'

/** How the columns of prepared files came of raw ones; undefined without a preparation. */
export async function rawColumnsOf(folder: string | undefined): Promise<RawColumns | undefined> {
  if (folder === undefined) return undefined
  const { columns } = (await Preparation.read(folder)).document
  const all = Object.entries(columns)
  return {
    names: Object.fromEntries(all.flatMap(([raw, column]) => namesOf(column).map(out => [out, raw]))),
    indicators: Object.fromEntries(
      all.flatMap(([raw, column]) =>
        'indicator' in column && column.indicator !== undefined ? [[raw, column.indicator]] : [],
      ),
    ),
    valueOf: (out, code) => meaningOf(columns, out, code),
  }
}

/** What a category's code stands for. */
function meaningOf(columns: PreparationDocument['columns'], out: string, code: number): string | undefined {
  for (const column of Object.values(columns)) {
    if (column.role !== 'category' || column.out !== out) continue
    if (code === 0) return column.missing_code === 0 ? 'unknown or missing' : 'unknown'
    if (code === column.missing_code) return 'missing'
    return column.codes ? column.codes[code - 1] : `hash ${code - 1}`
  }
  return undefined
}

/**
 * The group of each evaluation row: of a prepared table by a raw category's name too.
 * @throws UsageError where nothing is evaluated, or the model's metric knows no groups; DataError for a column that tells no rows apart, or differs within a list
 */
export async function groupsOf(
  groupBy: string,
  {
    model,
    files,
    data,
    raw,
  }: {
    model: Model
    files: readonly string[] | undefined
    /** The rows of those files. */
    data: Dataset | undefined
    raw: RawColumns | undefined
  },
): Promise<unknown[]> {
  if (!files) throw new UsageError(`--group-by ${groupBy} tells evaluation rows apart, and --eval names none`)
  if (!model.metrics().takesGroups)
    throw new UsageError(
      `--group-by ${groupBy} needs a model of 2 classes, or one that orders lists, which ${model.config.architecture} is not`,
    )
  const groups: unknown[] = []
  for (const path of files) {
    const file = await openParquet(path)
    const made = raw && Object.keys(raw.names).find(out => raw.names[out] === groupBy)
    const name = !file.columns.includes(groupBy) && made !== undefined ? made : groupBy
    const { kind, list, description } = columnOf(file, name)
    if (list || kind === 'other')
      throw new DataError(`${path}: column ${name} is ${description}, a number or text per row is expected`)
    const values = (await readColumns(file, [name]))[name]!
    for (const value of values) groups.push(raw?.valueOf(name, Number(value)) ?? value)
  }
  const list = Object.values(model.inputs as Inputs).find(({ kind }) => kind === 'list')
  if (list?.kind === 'list' && data) {
    const keys = list.columns.map(column => data.ids[column]!)
    const [rows, starts] = listsOf(keys, data.length)
    groupNames(
      { labels: rows, starts, rows },
      Array.from(rows, row => groups[row]),
    )
  }
  return groups
}
