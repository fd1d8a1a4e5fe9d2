// Small models of two sides, and rows of queries and ads for them.
import { join } from 'node:path'
import { writeParquet } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { LateFusionModel, TwinModel } from '../../src/models/index.ts'
import { generator } from './gpu.ts'

const VOCAB = 50

const sided = {
  features_config: { search: { dtype: 'token_id' }, title: { dtype: 'token_id' } },
  sides: { query: ['search'], ad: ['title'] },
  pretrained_model_config: {
    vocab_size: VOCAB,
    dim: 12,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 16,
    max_position_embeddings: 16,
  },
} as const

/** Weights far from their starting values, so that vectors differ. */
export const twin = (
  gpu: Gpu,
  { crossing = 'cosine' as 'cosine' | 'residual', downscale = 10 as number | null, seed = 1 } = {},
): TwinModel =>
  new TwinModel({
    ...structuredClone(sided),
    features_config: { ...sided.features_config },
    sides: { query: ['search'], ad: ['title'] },
    crossing,
    downscale,
  })
    .to(gpu, { seed })
    .eval()

export const late = (gpu: Gpu, seed = 1): LateFusionModel =>
  new LateFusionModel({
    ...structuredClone(sided),
    sides: { query: ['search'], ad: ['title'] },
    features_config: {
      ...sided.features_config,
      city: { dtype: 'categorical', vocab_size: 6, embedding_size: 3 },
      depth: { dtype: 'numerical' },
    },
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
  })
    .to(gpu, { seed })
    .eval()

export interface Ads {
  path: string
  ids: (number | string)[]
  titles: number[][]
}

const text = (next: () => number) =>
  Array.from({ length: Math.floor(next() * 7) }, () => 1 + Math.floor(next() * (VOCAB - 1)))

/** A file of ads: an id and a title each, some without a token; row groups of 13. */
export async function writeAds(folder: string, name: string, n: number, seed: number): Promise<Ads> {
  const next = generator(seed)
  const titles = Array.from({ length: n }, () => text(next))
  const ids = Array.from({ length: n }, (_, i) => 1000 + 7 * i)
  const path = join(folder, `${name}.parquet`)
  const columns = [
    { name: 'title', kind: 'list<int64>' as const, data: titles },
    { name: 'ad_id', kind: 'int64' as const, data: ids },
    { name: 'name', kind: 'string' as const, data: ids.map(id => `ad ${id}`) },
  ]
  await writeParquet(path, columns, { rowGroupSize: 13 })
  return { path, ids, titles }
}

/** A file of clicks on those ads: queries, the ads' titles and ids, the table, labels. */
export async function writeClicks(folder: string, ads: Ads, n: number, seed: number) {
  const next = generator(seed)
  const shown = Array.from({ length: n }, () => Math.floor(next() * ads.ids.length))
  const searches = Array.from({ length: n }, () => text(next))
  const [city, depth] = [shown.map(() => Math.floor(next() * 6)), shown.map(() => next())]
  const path = join(folder, 'clicks.parquet')
  await writeParquet(
    path,
    [
      { name: 'search', kind: 'list<int64>', data: searches },
      { name: 'title', kind: 'list<int64>', data: shown.map(i => ads.titles[i]!) },
      { name: 'ad_id', kind: 'int64', data: shown.map(i => ads.ids[i]!) },
      { name: 'city', kind: 'int64', data: city },
      { name: 'depth', kind: 'double', data: depth },
      { name: 'label', kind: 'int64', data: shown.map(() => Math.floor(next() * 2)) },
    ],
    { rowGroupSize: 9 },
  )
  return { path, searches, shown, city, depth }
}
