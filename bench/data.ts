// Times the way from a Parquet file to batches: decoding, collating, both on one core, and memory over epochs.
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { formatTable } from '../src/cli/table.ts'
import { type FeaturesConfig, featureInputs } from '../src/config/index.ts'
import { createLoader, type Dataset, loadDataset, openParquet, shuffledOrder } from '../src/data/index.ts'
import { UsageError } from '../src/errors.ts'
import { digits } from './report.ts'

export interface DataOptions {
  /** Default 900,000: what the notebook trains on. */
  rows?: number
}

export interface DataResult {
  rows: number
  tokens: number
  fileBytes: number
  /** Bytes of the file's pages after decompression. */
  pageBytes: number
  /** Bytes of the typed arrays made of them. */
  arrayBytes: number
  decodeSeconds: number
  /** Of one epoch, batches of 64 in shuffled order, ids grouped. */
  collateSeconds: number
  decodeRowsPerSecond: number
  collateRowsPerSecond: number
  /** Decoding once and collating once. */
  rowsPerSecond: number
  /** CPU over wall time of decoding and collating: 1 is one core. */
  cores: number
  /** One epoch by the loader's worker, and what of it the calling thread is busy. */
  workerSeconds: number
  workerMainSeconds: number
  /** Resident bytes after the first and after the last epoch of collating. */
  residentFirst: number
  residentLast: number
}

const VOCAB = 148_598
const BATCH = 64
const EPOCHS = 4
const CATEGORIES = { gender: 4, age: 7, advertiser_id: 12_193, user_id: 50_000 }

const FEATURES: FeaturesConfig = {
  tokenized_title: { dtype: 'token_id', vocab_size: VOCAB },
  tokenized_query: { dtype: 'token_id', vocab_size: VOCAB },
  depth: { dtype: 'numerical' },
  ...Object.fromEntries(
    Object.entries(CATEGORIES).map(([name, vocab_size]) => [name, { dtype: 'categorical', vocab_size }]),
  ),
}
export const INPUTS = featureInputs(FEATURES, { vocabSize: VOCAB, padTokenId: VOCAB - 1 })

/**
 * Writes rows shaped like the KDD Cup 2012 data: titles of 1 to 19 tokens and queries of 1 to 5, every tenth of them
 * out of vocabulary, the others, users and advertisers by Zipf's law. DuckDB writes them, as it does in preprocessing.
 */
export async function writeClicks(path: string, rows: number, seed = 1): Promise<void> {
  const { DuckDBInstance } = await import('@duckdb/node-api').catch(error => {
    throw new UsageError(`the file is written by @duckdb/node-api, which cannot be loaded: ${error.message}`)
  })
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(
      `CREATE MACRO uniform(i, k) AS hash(i * 64 + k + ${seed} * 1000003) / 18446744073709551616.0`,
    )
    await connection.run(
      'CREATE MACRO zipf(i, k, n) AS CAST(least(floor(pow(n, uniform(i, k))) - 1, n - 1) AS BIGINT)',
    )
    await connection.run(
      `CREATE MACRO token(i, k) AS CASE WHEN uniform(i, k + 32) < 0.1 THEN ${VOCAB - 1} ELSE zipf(i, k, ${VOCAB - 1}) END`,
    )
    await connection.run(`COPY (SELECT
        CAST(uniform(i, 0) < 0.04 AS BIGINT) AS label,
        list_transform(range(1 + CAST(floor(19 * uniform(i, 1)) AS BIGINT)), k -> token(i, k)) AS tokenized_title,
        list_transform(range(1 + CAST(floor(5 * uniform(i, 2)) AS BIGINT)), k -> token(i, k + 20)) AS tokenized_query,
        floor(3 * uniform(i, 3)) / 2 AS depth,
        ${Object.entries(CATEGORIES).map(([name, n], k) => `zipf(i, ${60 + k}, ${n}) AS ${name}`)}
      FROM range(${rows}) AS t(i)) TO '${path}' (FORMAT parquet, COMPRESSION snappy)`)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** Decodes a generated file and collates every row several times. */
export async function benchData({ rows = 900_000 }: DataOptions = {}): Promise<DataResult> {
  const folder = await mkdtemp(join(tmpdir(), 'kernelgrad-bench-'))
  try {
    const path = join(folder, 'train.parquet')
    await writeClicks(path, rows)
    const file = await openParquet(path)
    const pages = file.metadata.row_groups.flatMap(group => group.columns)
    const cpu = process.cpuUsage()
    const began = performance.now()
    const data = await loadDataset(file, { inputs: INPUTS })
    const decodeSeconds = (performance.now() - began) / 1000
    const seconds: number[] = []
    const resident: number[] = []
    let tokens = 0
    const collateAll = async (epoch: number, worker: boolean) => {
      const loader = createLoader(data, INPUTS, { batchSize: BATCH, worker })
      const started = performance.now()
      tokens = 0
      for await (const batch of loader.batches(shuffledOrder(rows, 1, epoch))) tokens += batch.text!.tokens
      const took = (performance.now() - started) / 1000
      await loader.close()
      return took
    }
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      seconds.push(await collateAll(epoch, false))
      resident.push(process.memoryUsage().rss)
    }
    const collateSeconds = Math.min(...seconds)
    const { user, system } = process.cpuUsage(cpu)
    const cores = (user + system) / 1000 / (performance.now() - began)
    const idle = performance.eventLoopUtilization()
    const workerSeconds = await collateAll(EPOCHS, true)
    const { active } = performance.eventLoopUtilization(idle)
    return {
      rows,
      tokens,
      fileBytes: (await stat(path)).size,
      pageBytes: pages.reduce(
        (sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0),
        0,
      ),
      arrayBytes: bytesOf(data),
      decodeSeconds,
      collateSeconds,
      decodeRowsPerSecond: rows / decodeSeconds,
      collateRowsPerSecond: rows / collateSeconds,
      rowsPerSecond: rows / (decodeSeconds + collateSeconds),
      cores,
      workerSeconds,
      workerMainSeconds: active / 1000,
      residentFirst: resident[0]!,
      residentLast: resident.at(-1)!,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function bytesOf({ lists, ids, floats }: Dataset): number {
  const arrays = [
    ...Object.values(lists).flatMap(({ values, offsets }) => [values, offsets]),
    ...Object.values(ids),
    ...Object.values(floats),
  ]
  return arrays.reduce((sum, array) => sum + array.byteLength, 0)
}

export function dataTable(result: DataResult): string {
  const mega = (bytes: number) => `${digits(bytes / 2 ** 20)} MiB`
  const rate = (rows: number, seconds: number) =>
    `${Math.round(rows).toLocaleString('en')} rows/s (${digits(seconds)} s)`
  const { rows, tokens, fileBytes, pageBytes, arrayBytes, decodeSeconds, collateSeconds } = result
  return formatTable(
    [`data, ${rows.toLocaleString('en')} rows`, ''],
    [
      ['kept tokens a row', digits(tokens / rows)],
      ['file, its pages, arrays in memory', [fileBytes, pageBytes, arrayBytes].map(mega).join(', ')],
      ['decoding', rate(result.decodeRowsPerSecond, decodeSeconds)],
      ['  pages', `${digits(pageBytes / decodeSeconds / 1e6)} MB/s`],
      [`collating, batches of ${BATCH}, shuffled`, rate(result.collateRowsPerSecond, collateSeconds)],
      ['both', rate(result.rowsPerSecond, decodeSeconds + collateSeconds)],
      ['cores in use', digits(result.cores)],
      ['collating in a worker', rate(rows / result.workerSeconds, result.workerSeconds)],
      [
        'calling thread, a batch: without and with a worker',
        [collateSeconds, result.workerMainSeconds]
          .map(s => `${digits((s * 1e6 * BATCH) / rows)} µs`)
          .join(', '),
      ],
      [
        `resident memory after epoch 1 and ${EPOCHS}`,
        `${mega(result.residentFirst)}, ${mega(result.residentLast)}`,
      ],
    ],
  )
}
