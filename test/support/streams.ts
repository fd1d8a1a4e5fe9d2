// Rows of several small files that are read as a stream.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomStream } from '../../src/data/shuffle.ts'
import { isStreamed, openDataset, type StreamedDataset } from '../../src/data/stream.ts'
import { createStreamLoader } from '../../src/data/stream-loader.ts'
import { type WriteColumn, writeParquetGroups as writeGroups } from '../../src/data/write.ts'
import type { AnyBatch, Inputs } from '../../src/inputs.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-stream-'))
process.on('exit', () => rmSync(root, { recursive: true, force: true }))

export const newFolder = (): string => mkdtempSync(join(root, 'rows-'))

export const INPUTS: Inputs = {
  title: {
    kind: 'text',
    columns: [{ name: 'title', dtype: 'token_id' }],
    rows: 50,
    padTokenId: 49,
    maxPositions: 12,
  },
  ids: { kind: 'ids', columns: { user: 100_000, kind: 7 } },
  numbers: { kind: 'floats', columns: ['depth'] },
  label: { kind: 'classes', column: 'label', classes: 2, trainOnly: true },
}

type Rows = Record<string, unknown[]>
export const COLUMNS: WriteColumn[] = [
  { name: 'title', kind: 'list<int64>', data: [] },
  { name: 'user', kind: 'int64', data: [] },
  { name: 'kind', kind: 'int64', data: [] },
  { name: 'depth', kind: 'double', data: [] },
  { name: 'label', kind: 'int64', data: [] },
]

export async function writeParquetGroups(
  path: string,
  columns: WriteColumn[],
  groups: Rows[],
): Promise<void> {
  async function* each() {
    yield* groups
  }
  await writeGroups(path, columns, each())
}

const random = randomStream(11)
let user = 0
/** Rows that are told apart by their user. */
export function someRows(n: number): Rows {
  const make = (value: () => unknown) => Array.from({ length: n }, value)
  return {
    title: make(() => Array.from({ length: random.below(6) }, () => random.below(49))),
    user: make(() => user++),
    kind: make(() => random.below(7)),
    depth: make(() => random.normal()),
    label: make(() => random.below(2)),
  }
}

export async function writeFile(path: string, groups: number[], columns = COLUMNS): Promise<string> {
  await writeParquetGroups(path, columns, groups.map(someRows))
  return path
}

/** Groups of several files: odd sizes, one of a single row, one file without rows. */
export const SIZES = [
  [97, 120, 60, 80, 70, 110],
  [],
  [41],
  [1, 133, 88, 99, 121],
  [200, 64, 90, 150, 77],
  [140, 30, 160],
]

/** Writes them into a new folder. */
export async function writeParts(): Promise<string> {
  const folder = newFolder()
  for (const [i, groups] of SIZES.entries()) await writeFile(join(folder, `part-${i}.parquet`), groups)
  return folder
}

/** Of which they are a stream of several windows. */
export const MEMORY = 60_000

export async function streamOf(path: string, memory = MEMORY, inputs = INPUTS): Promise<StreamedDataset> {
  const data = await openDataset(path, { inputs, memory })
  if (!isStreamed(data)) throw new Error('expected a stream')
  return data
}

interface How {
  batchSize?: number
  seed?: number
  shuffle?: boolean
  part?: { rank: number; size: number }
  worker?: boolean
  epoch?: number
  first?: number
}

export async function batchesOf(data: StreamedDataset, { epoch, first, ...how }: How): Promise<AnyBatch[]> {
  const loader = createStreamLoader(data, INPUTS, { batchSize: 32, seed: 5, ...how })
  try {
    const out: AnyBatch[] = []
    for await (const batch of loader.batches({ epoch, first })) out.push(batch as AnyBatch)
    return out
  } finally {
    await loader.close()
  }
}

export const rowsOf = (batches: AnyBatch[]): number[] => batches.flatMap(({ rows }) => [...rows])
