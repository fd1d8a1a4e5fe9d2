// Candidates of some queries, in any order, and models to rank them with in two passes.
import { join } from 'node:path'
import { type WriteColumn, writeParquet } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { generator } from './gpu.ts'
import type { Ads } from './two-sided.ts'

/** Both texts as one, and the table: the dear pass. */
export const crossEncoder = (gpu: Gpu, seed = 5): TextTabularModel =>
  new TextTabularModel({
    features_config: {
      search: { dtype: 'token_id' },
      title: { dtype: 'token_id' },
      city: { dtype: 'categorical', vocab_size: 6, embedding_size: 3 },
      depth: { dtype: 'numerical' },
    },
    pretrained_model_config: {
      vocab_size: 50,
      dim: 8,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 12,
      max_position_embeddings: 16,
      // Far from zero, so that scores differ.
      initializer_range: 0.5,
    },
  })
    .to(gpu, { seed })
    .eval()

/** Rows of a file of candidates. */
export interface CandidateFile {
  path: string
  columns: WriteColumn[]
  query: string[]
  user: number[]
  ad: (number | string)[]
  label: number[]
}

/** Queries told apart by text and user, with 1 to 12 ads each, rows shuffled, in row groups of 7. */
export async function writeCandidates(
  folder: string,
  ads: Ads,
  queries: number,
  seed: number,
): Promise<CandidateFile> {
  const next = generator(seed)
  const below = (n: number) => Math.floor(next() * n)
  const rows: { query: string; user: number; search: number[]; ad: number }[] = []
  for (let q = 0; q < queries; q++) {
    const search = Array.from({ length: 1 + below(4) }, () => 1 + below(49))
    const first = below(ads.ids.length)
    // The same text of two users is two queries.
    const [query, user] = [`q${q >> 1}`, q % 2]
    for (let i = 0; i <= below(12); i++) rows.push({ query, user, search, ad: (first + i) % ads.ids.length })
  }
  for (let i = rows.length - 1; i > 0; i--) {
    const j = below(i + 1)
    ;[rows[i], rows[j]] = [rows[j]!, rows[i]!]
  }
  const label = rows.map(() => below(2))
  const columns: WriteColumn[] = [
    { name: 'query', kind: 'string', data: rows.map(({ query }) => query) },
    { name: 'user', kind: 'int64', data: rows.map(({ user }) => user) },
    { name: 'search', kind: 'list<int64>', data: rows.map(({ search }) => search) },
    { name: 'title', kind: 'list<int64>', data: rows.map(({ ad }) => ads.titles[ad]!) },
    { name: 'ad_id', kind: 'int64', data: rows.map(({ ad }) => ads.ids[ad]!) },
    { name: 'city', kind: 'int64', data: rows.map(() => below(6)) },
    { name: 'depth', kind: 'double', data: rows.map(() => next()) },
    { name: 'label', kind: 'boolean', data: label.map(Boolean) },
    { name: 'day', kind: 'date', data: rows.map((_, i) => (i === 5 ? null : i - 9)) },
    // More than a Date holds.
    {
      name: 'seen',
      kind: 'timestamp[us, UTC]',
      data: rows.map((_, i) => -1_234_567_890_123_457n * BigInt(i)),
    },
    {
      name: 'words',
      kind: 'list<string>',
      data: rows.map(({ query }, i) => (i % 3 ? [query, 'é'] : i % 2 ? [] : null)),
    },
  ]
  const path = join(folder, 'candidates.parquet')
  await writeParquet(path, columns, { rowGroupSize: 7 })
  return {
    path,
    columns,
    query: rows.map(({ query }) => query),
    user: rows.map(({ user }) => user),
    ad: rows.map(({ ad }) => ads.ids[ad]!),
    label,
  }
}
