// The demo's model at the sizes that its data comes to, with weights by formula, and rows for it.
import { demoModels } from '../src/cli/demo-models.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { TextTabularModel } from '../src/models/index.ts'
import { generator } from '../src/testing/index.ts'
import { saveModel } from '../src/train/index.ts'
import { trainWork } from './compare/work.ts'
import { setHashedWeights } from './parity/full-case.ts'

const VOCAB = 601
const CATEGORIES = { gender: 3, age: 6, advertiser_id: 175, user_id: 137 }
const LONGEST = { title: 12, query: 5 }

/** A request's row. */
export type DemoRow = Record<'tokenized_title' | 'tokenized_query', number[]> &
  Record<'depth' | keyof typeof CATEGORIES, number>

const { trainer: _, ...demo } = demoModels(
  {
    features_config: {
      tokenized_title: { dtype: 'token_id' },
      tokenized_query: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      ...Object.fromEntries(
        Object.entries(CATEGORIES).map(([name, vocab_size]) => [name, { dtype: 'categorical', vocab_size }]),
      ),
    },
    vocab_size: VOCAB,
    pad_token_id: VOCAB - 1,
    num_labels: 2,
  },
  { seed: 0 },
).text_tabular

// Without dropout, of which scoring takes no notice, parameters have the names that PyTorch's have.
const config = {
  ...demo,
  mlp_config: demo.mlp_config!.map(({ dropout_p: _, ...layer }) => layer),
}

/** Rows of a seed: texts of 2 to 17 tokens. */
export function demoRows(count: number, seed: number): DemoRow[] {
  const next = generator(seed)
  const draw = (below: number) => Math.floor(next() * below)
  const text = (longest: number) => Array.from({ length: 1 + draw(longest) }, () => draw(VOCAB - 1))
  return Array.from({ length: count }, () => ({
    tokenized_title: text(LONGEST.title),
    tokenized_query: text(LONGEST.query),
    depth: 1 + draw(3),
    ...(Object.fromEntries(Object.entries(CATEGORIES).map(([name, rows]) => [name, draw(rows)])) as Record<
      keyof typeof CATEGORIES,
      number
    >),
  }))
}

/** Saves the model into a folder; returns the same work for another library, a batch a row. */
export async function saveDemo(gpu: Gpu, folder: string, rows: readonly DemoRow[], scale = 0.1) {
  const model = new TextTabularModel(config).to(gpu, { seed: 1 })
  setHashedWeights(model, scale)
  await saveModel(model, folder)
  const work = trainWork({ B: 1, S: 1, steps: 0, pad: VOCAB - 1, config }, model, 0)
  model.free()
  const batches = rows.map(({ tokenized_title, tokenized_query, depth, ...categories }) => ({
    inputIds: [[...tokenized_title, ...tokenized_query]],
    categorical: Object.fromEntries(Object.entries(categories).map(([name, code]) => [name, [code]])),
    numerical: { depth: [depth] },
    labels: [0],
  }))
  return { ...work, scale, batches }
}
