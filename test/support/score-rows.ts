// Saved models that score single rows, and rows for them, as objects and as a file.
import { join } from 'node:path'
import { writeParquet } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { saveModel } from '../../src/train/index.ts'
import { generator } from './gpu.ts'

const VOCAB = 40
const LONGEST = 60

export interface RowOf {
  query: number[]
  title: number[]
  depth: number
  city: number
}

/** A model of two texts, a number and a category. The last layer is wide and its classes few: its sum is one that batches might cut. */
export const scoringModel = (gpu: Gpu, { seed = 1, dim = 16, mlp = [24] } = {}): TextTabularModel =>
  new TextTabularModel({
    features_config: {
      query: { dtype: 'token_id' },
      title: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      city: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    },
    mlp_config: mlp.map(hidden_size => ({
      hidden_size,
      activation_function: 'ReLU',
      normalization_function: 'LayerNorm',
    })),
    num_labels: 2,
    pretrained_model_config: {
      vocab_size: VOCAB,
      pad_token_id: 0,
      dim,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 2 * dim,
      max_position_embeddings: LONGEST,
    },
  })
    .to(gpu, { seed })
    .eval()

/** Rows whose texts have few tokens but for one in seven, some none. */
export function rowsFor(n: number, seed: number, longest = 9): RowOf[] {
  const next = generator(seed)
  const text = (most: number) =>
    Array.from({ length: Math.floor(next() * (most + 1)) }, () => 1 + Math.floor(next() * (VOCAB - 1)))
  return Array.from({ length: n }, (_, i) => ({
    query: text(5),
    title: text(i % 7 === 3 ? longest : 4),
    depth: next() * 4 - 2,
    city: Math.floor(next() * 7),
  }))
}

/** The rows as a file for `kernelgrad predict`. */
export async function writeRows(folder: string, rows: readonly RowOf[]): Promise<string> {
  const path = join(folder, 'rows.parquet')
  await writeParquet(
    path,
    [
      { name: 'query', kind: 'list<int64>', data: rows.map(({ query }) => query) },
      { name: 'title', kind: 'list<int64>', data: rows.map(({ title }) => title) },
      { name: 'depth', kind: 'double', data: rows.map(({ depth }) => depth) },
      { name: 'city', kind: 'int64', data: rows.map(({ city }) => city) },
    ],
    { rowGroupSize: 17 },
  )
  return path
}

/** Saves such a model into a folder, and frees it. */
export async function saveScoring(gpu: Gpu, folder: string, how: Parameters<typeof scoringModel>[1] = {}) {
  const model = scoringModel(gpu, how)
  await saveModel(model, folder)
  model.free()
}
