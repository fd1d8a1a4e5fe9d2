// Serving of towers: a query against kept vectors beside the copy, and the student's cost of a query beside the cross encoder's.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noGrad, scope } from '../src/autograd/index.ts'
import { type Columns, collate, openParquet, parquetBytes } from '../src/data/index.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { topK, vectorScores } from '../src/kernels/index.ts'
import { LateFusionModel, TextTabularModel } from '../src/models/index.ts'
import { embedToFile, TwinServer, towerFingerprint } from '../src/serve/index.ts'
import { generator, timeLaunches } from '../src/testing/index.ts'
import { predictStream } from '../src/train/index.ts'
import { copyPeak } from './peaks.ts'
import { Workspace } from './row.ts'

/** A model's sizes: the notebook's, its word table cut, or some for a test. */
const FULL = {
  ads: 1_000_000,
  texts: 512,
  V: 20_000,
  H: 768,
  A: 12,
  F: 3072,
  mlp: [1024, 512, 256],
  layers: 2,
}
const QUICK = { ads: 1_001, texts: 20, V: 100, H: 16, A: 2, F: 32, mlp: [16], layers: 1 }
const CANDIDATES = 100
const E = 128

export interface ServeResult {
  copyGbps: number
  /** Of all vectors: milliseconds, and the share of the copy's bytes a second. */
  scores: { storage: string; ms: number; share: number }[]
  topK: { k: number; ms: number }[]
  /** One query with 100 candidates, milliseconds at best: cached ads and a query that was not asked for before, and both texts in one encoder. */
  studentMs: number
  crossEncoderMs: number
  /** The same texts through the same encoder, rows a second at best: vectors written into a file, and scores that are not written. */
  embedRows: number
  predictRows: number
}

export async function benchServe(gpu: Gpu, { quick = false } = {}): Promise<ServeResult> {
  const size = quick ? QUICK : FULL
  const timing = quick ? { budget: 1, sample: 1 } : {}
  const copyGbps = await copyPeak(gpu, timing, quick)
  const work = new Workspace(gpu)
  const [query, scores] = [work.floats(E), work.empty(size.ads)]
  const measured: ServeResult['scores'] = []
  for (const bytes of [true, false]) {
    const rowBytes = E * (bytes ? 1 : 4)
    const rows = Math.min(size.ads, Math.floor(gpu.maxBinding / rowBytes))
    // Bindings are filled alike: one after the other is scored, as shards are.
    const shards: ReturnType<Workspace['floats']>[] = []
    for (let first = 0; first < size.ads; first += rows)
      shards.push(work.floats((Math.min(rows, size.ads - first) * rowBytes) / 4))
    const run = () => {
      for (const [i, vectors] of shards.entries()) {
        const N = Math.min(rows, size.ads - i * rows)
        vectorScores(gpu, { query, vectors, scores, first: i * rows, N, E, bytes })
      }
    }
    const { best } = await timeLaunches(gpu, run, timing)
    const moved = size.ads * (rowBytes + 4)
    measured.push({ storage: bytes ? 'bytes' : 'float32', ms: best, share: moved / best / 1e6 / copyGbps })
  }
  const found: ServeResult['topK'] = []
  for (const k of [10, 1000]) {
    const indices = work.empty(k)
    const run = () => topK(gpu, { x: scores, indices, O: 1, R: size.ads, I: 1, k })
    found.push({ k, ms: (await timeLaunches(gpu, run, timing)).best })
  }
  work.job(() => {}).dispose()
  gpu.pool.trim()
  const turns = quick ? 2 : 7
  return {
    copyGbps,
    scores: measured,
    topK: found,
    ...(await models(gpu, size, turns)),
    ...(await writing(gpu, size, turns)),
  }
}

async function models(gpu: Gpu, { V, H, A, F, mlp, layers }: typeof FULL, turns: number) {
  const config = {
    features_config: {
      search: { dtype: 'token_id' as const },
      title: { dtype: 'token_id' as const },
      depth: { dtype: 'numerical' as const },
    },
    mlp_config: mlp.map(hidden_size => ({ hidden_size, activation_function: 'ReLU' as const })),
    pretrained_model_config: { vocab_size: V, dim: H, n_heads: A, n_layers: layers, hidden_dim: F },
  }
  const student = new LateFusionModel({ ...config, sides: { query: ['search'], ad: ['title'] } })
  const teacher = new TextTabularModel(config)
  for (const model of [student, teacher]) model.to(gpu, { seed: 1 }).eval()
  const next = generator(3)
  const ids = Array.from({ length: CANDIDATES }, (_, i) => i)
  const token = () => 1 + Math.floor(next() * (V - 1))
  const titles = ids.map(() => Array.from({ length: 4 + Math.floor(next() * 9) }, token))
  const asked = () => Array.from({ length: 3 }, token)
  const columnsOf = (query: number[]): Columns => ({
    length: CANDIDATES,
    rowStart: 0,
    lists: { search: listsOf(titles.map(() => query)), title: listsOf(titles) },
    ids: {},
    floats: { depth: new Float32Array(CANDIDATES).fill(1) },
  })
  const { ad } = collate(columnsOf([]), ids, { ad: student.sides.ad })
  const vectors = await scope(() => noGrad(() => student.encode('ad', ad)).read())
  const head = { side: 'ad', size: H, storage: 'float32', idColumn: 'row' } as const
  const cache = { ...head, fingerprint: await towerFingerprint(student, 'ad'), ids, vectors }
  const server = await TwinServer.create(student, cache)
  const { labels: _, ...read } = teacher.inputs
  let [studentMs, crossEncoderMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let turn = 0; turn < turns; turn++) {
    const query = asked()
    const started = performance.now()
    await server.rank(query, { features: { depth: 1 } })
    const between = performance.now()
    const batch = collate(columnsOf(query), ids, read)
    await scope(() => noGrad(() => teacher.scores(batch)).read())
    // The first turn compiles.
    if (turn === 0) continue
    studentMs = Math.min(studentMs, between - started)
    crossEncoderMs = Math.min(crossEncoderMs, performance.now() - between)
  }
  server.close()
  return { studentMs, crossEncoderMs }
}

/** Vectors of a side into a file, and the scores of a model of that encoder alone, in turns. */
async function writing(gpu: Gpu, { texts, V, H, A, F, layers }: typeof FULL, turns: number) {
  const encoder = { vocab_size: V, dim: H, n_heads: A, n_layers: layers, hidden_dim: F }
  const title = { title: { dtype: 'token_id' as const } }
  const sides = { query: ['search'], ad: ['title'] }
  const features_config = { search: { dtype: 'token_id' as const }, ...title }
  const towers = new LateFusionModel({ features_config, sides, pretrained_model_config: encoder })
  const alone = new TextTabularModel({ features_config: title, pretrained_model_config: encoder })
  for (const model of [towers, alone]) model.to(gpu, { seed: 1 }).eval()
  const next = generator(4)
  const data = Array.from({ length: texts }, () =>
    Array.from({ length: 4 + Math.floor(next() * 9) }, () => 1 + Math.floor(next() * (V - 1))),
  )
  const file = await openParquet(await parquetBytes([{ name: 'title', kind: 'list<int64>', data }]))
  const folder = await mkdtemp(join(tmpdir(), 'kernelgrad-embed-'))
  const work = {
    embed: () => embedToFile(towers, file, join(folder, 'ads.parquet'), { side: 'ad' }),
    predict: async () => {
      for await (const _ of predictStream(alone, file, { trainOnly: 'none' }));
    },
  }
  const best = { embed: Number.POSITIVE_INFINITY, predict: Number.POSITIVE_INFINITY }
  try {
    for (let turn = 0; turn < turns; turn++)
      for (const name of ['embed', 'predict'] as const) {
        const started = performance.now()
        await work[name]()
        // The first turn compiles.
        if (turn) best[name] = Math.min(best[name], performance.now() - started)
      }
  } finally {
    await rm(folder, { recursive: true })
  }
  for (const model of [towers, alone]) model.free()
  return { embedRows: (1000 * texts) / best.embed, predictRows: (1000 * texts) / best.predict }
}

function listsOf(rows: number[][]) {
  const offsets = new Uint32Array(rows.length + 1)
  for (const [i, { length }] of rows.entries()) offsets[i + 1] = offsets[i]! + length
  return { values: Uint32Array.from(rows.flat()), offsets }
}

export function serveTable(result: ServeResult): string {
  const { copyGbps, scores, topK, studentMs, crossEncoderMs, embedRows, predictRows } = result
  const ms = (value: number) => `${value.toFixed(1)} ms`
  return [
    `copy ${copyGbps.toFixed(2)} GB/s`,
    ...scores.map(
      one => `scores, ${one.storage}: ${ms(one.ms)}, ${(100 * one.share).toFixed(0)}% of the copy`,
    ),
    ...topK.map(one => `the best ${one.k}: ${ms(one.ms)}`),
    `${CANDIDATES} candidates: student ${ms(studentMs)}, cross encoder ${ms(crossEncoderMs)}, 1/${(crossEncoderMs / studentMs).toFixed(1)}`,
    `texts: embed ${embedRows.toFixed(0)} rows/s, predict with that encoder ${predictRows.toFixed(0)} rows/s, ${((100 * embedRows) / predictRows).toFixed(0)}%`,
  ].join('\n')
}
