// Raw files through what was learned, to a file that a model reads.
import { openDatabase } from '../datasets/database.ts'
import { DataError } from '../errors.ts'
import { expectColumn } from './asked.ts'
import type { Preparation } from './preparation.ts'
import { type KeptColumn, writePrepared } from './rows.ts'
import { named, readTable } from './table.ts'

/** What is read, and where the result goes. */
export interface RawRowsOptions {
  inputs: readonly string[]
  /** Parquet file to write. */
  output: string
  /** An existing folder to work in; the caller removes it. */
  folder: string
  /** Raw columns to hand on. */
  kept?: readonly KeptColumn[]
  /** Whether a file without labels is refused. */
  labels: 'optional' | 'required'
  memoryMiB?: number
  onRows?: (rows: number) => void
  /** Hears of each category that the files have values of, and none that was learned; `value` is one of them. */
  onStrange?: (column: { name: string; value: unknown }) => void
}

/**
 * Makes of raw files what prepare made of its own.
 * @returns how many rows there are, and whether they have labels.
 * @throws DataError naming file, row or column, value and what was expected.
 */
export async function prepareRaw(
  preparation: Preparation,
  { inputs, output, folder, kept = [], labels, memoryMiB = 768, onRows, onStrange }: RawRowsOptions,
): Promise<{ rows: number; labelled: boolean }> {
  const db = await openDatabase({ folder, memoryMiB, otherwise: '' })
  try {
    await db.keepOrder(true)
    const table = await readTable(db, inputs, { folder })
    const there = table.columns.map(({ name }) => name)
    for (const name of preparation.fields) expectColumn(name, there, 'the model')
    for (const { name } of kept) expectColumn(name, there, 'the output')
    for (const { name, kind } of table.columns)
      if (kind === 'nested' && (preparation.fields.includes(name) || kept.some(one => one.name === name)))
        throw new DataError(`${table.files[0]!.name}: column '${name}' holds lists, expected one value a row`)
    const trained: string[] = []
    for (const name of [preparation.label, preparation.weight]) {
      if (name === undefined) continue
      if (labels === 'required' && name === preparation.label) expectColumn(name, there, 'the label')
      if (!there.includes(name)) continue
      const [some] = await db.run(`SELECT count(${named(name)})::BIGINT AS n FROM raw`)
      // A column that is there and empty, as a contest's test has it, is none.
      if (Number(some!.n) > 0 || labels === 'required') trained.push(name)
    }
    const rows = await writePrepared(db, table, preparation, output, {
      ...{ where: 'true', trained, kept },
      ...(onRows ? { onRows } : {}),
      ...(onStrange ? { onStrange } : {}),
    })
    return { rows, labelled: trained.includes(preparation.label!) }
  } finally {
    db.close()
  }
}
