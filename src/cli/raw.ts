// Rows to score as a model takes them: files that are prepared already, or raw ones, prepared by what the model's folder keeps.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openParquet, type ParquetFile } from '../data/index.ts'
import { DataError, UsageError } from '../errors.ts'
import { PREPARATION_FILE } from '../prepare/document.ts'
import { preparationFolder } from '../prepare/folder.ts'
import { formatOf } from '../prepare/formats.ts'
import { Preparation } from '../prepare/index.ts'
import { fingerprintOf, preparedBy } from '../prepare/preparation.ts'
import { prepareRaw } from '../prepare/raw-rows.ts'
import { createProgress } from './progress.ts'
import { openRows } from './score.ts'

/** A file to score, and what its columns that are handed on are called in it. */
export interface Rows {
  file: ParquetFile
  nameOf: (column: string) => string
  /** Removes what was made on the way. */
  close(): Promise<void>
}

/** How rows are opened. */
interface RowsOptions {
  /** The model's folder. */
  model: string
  /** Columns of the file that are handed on. */
  kept: readonly string[]
  labels: 'optional' | 'required'
  stream: NodeJS.WriteStream
}

const asTheyAre = (file: ParquetFile): Rows => ({ file, nameOf: column => column, close: async () => {} })

/**
 * Opens files to score; raw ones are prepared into a temporary file.
 * @throws DataError naming file and what is wrong with it; UsageError where raw files have no preparation to go by.
 */
export async function openScored(data: readonly string[], options: RowsOptions): Promise<Rows> {
  const [first] = data as [string, ...string[]]
  const kept = await preparationFolder(options.model)
  const single = data.length === 1 && formatOf(first) !== 'csv' && formatOf(first) !== 'ndjson'
  if (kept === undefined) {
    if (!single)
      throw new UsageError(
        `--data ${data.join(' ')}: expected one Parquet file, as ${options.model} has no ${PREPARATION_FILE} to read raw files by; ` +
          'kernelgrad prepare makes it, and training on its folder keeps it beside the model',
      )
    return asTheyAre(await openRows(first))
  }
  const preparation = await Preparation.read(kept)
  if (single && formatOf(first) === 'parquet') {
    const file = await openParquet(first)
    const by = preparedBy(file)
    if (by !== undefined) {
      if (by === fingerprintOf(preparation.document)) return asTheyAre(await openRows(first))
      throw new DataError(
        `${first} was prepared by another ${PREPARATION_FILE} than ${options.model} has: its codes mean other things; give the raw file, or prepare and train again`,
      )
    }
  }
  return prepared(data, preparation, options)
}

async function prepared(
  data: readonly string[],
  preparation: Preparation,
  { kept, labels, stream }: RowsOptions,
): Promise<Rows> {
  const folder = await mkdtemp(join(tmpdir(), 'kernelgrad-raw-'))
  const close = () => rm(folder, { recursive: true, force: true })
  const nameOf = (column: string) => `raw.${column}`
  const output = join(folder, 'rows.parquet')
  const progress = createProgress({ total: 100, label: 'prepare', stream })
  const strange: { name: string; value: unknown }[] = []
  const onStrange = (column: { name: string; value: unknown }) => strange.push(column)
  try {
    const handed = kept.map(name => ({ name, as: nameOf(name) }))
    await prepareRaw(preparation, { inputs: data, output, folder, kept: handed, labels, onStrange })
    progress.update({ done: 100 })
    return { file: await openRows(output), nameOf, close }
  } catch (error) {
    await close()
    throw error
  } finally {
    progress.stop()
    for (const { name, value } of strange) stream.write(`warning: ${toldStrange(preparation, name, value)}\n`)
  }
}

/** Values that are all new are mostly written otherwise: '7' where '007' was learned, true where 'yes' was. */
function toldStrange({ document }: Preparation, name: string, value: unknown): string {
  const column = document.columns[name]
  const codes = (column?.role === 'category' && column.codes) || []
  const learned = codes.slice(0, 3).map(code => `'${code}'`)
  return `column '${name}': no value is one of those learned (${learned.join(', ')}${codes.length > 3 ? ', …' : ''}), as '${value}'; all of them count as unknown`
}
