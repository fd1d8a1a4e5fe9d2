// What a report says of features: those that a planted signal is in matter, and the slices in which the model is wrong are found.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Columns, randomStream } from '../../../src/data/index.ts'
import { pickRows } from '../../../src/data/pick-rows.ts'
import * as kg from '../../../src/index.ts'
import type { Inputs } from '../../../src/inputs.ts'
import { featuresOf, permuted } from '../../../src/train/explain/features.ts'
import { drawRows, permutationImportance } from '../../../src/train/explain/importance.ts'
import { explain } from '../../../src/train/explain/index.ts'
import { errorsBySlice } from '../../../src/train/explain/slices.ts'
import { openTestGpu } from '../../support/gpu.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())

const ROWS = 500
const random = randomStream(7, 1)
const of = <T>(to: (row: number) => T): T[] => Array.from({ length: ROWS }, (_, row) => to(row))

/** Says what it reads: the probability is its column `p`, whatever else stands there. */
class Planted extends kg.Model {
  static readonly architecture = 'Planted'
  static readonly parse = () => ({ architecture: 'Planted' })
  readonly config = Planted.parse()
  readonly unused = new kg.nn.Linear(1, 1)
  readonly inputs = {
    numbers: { kind: 'floats', columns: ['p', 'noise', 'price', 'price_misses'] },
    codes: { kind: 'ids', columns: { city: 4 } },
    text: {
      kind: 'text',
      columns: [
        { name: 'title', dtype: 'token_id' },
        { name: 'query', dtype: 'token_id' },
      ],
      rows: 50,
      padTokenId: 0,
      maxPositions: 64,
    },
    labels: { kind: 'classes', column: 'clicked', classes: 2, trainOnly: true },
  } as const satisfies Inputs as never
  loss(): never {
    throw new Error('it is not trained')
  }
  scores(batch: never) {
    const { numbers } = batch as { numbers: Record<string, Float32Array> }
    return kg.tensor(
      this.gpu,
      [...numbers.p!].flatMap(p => [1 - p, p]),
      [numbers.p!.length, 2],
    )
  }
  metrics(options?: { rows?: number }) {
    return new kg.Evaluation(2, options) as never
  }
  scoreNames() {
    return [null, 'probability']
  }
}

const city = of(row => row % 4)
/** In city 3 the model is sure of the opposite. */
const clicked = of(row => Number(random.uniform() < (city[row] === 3 ? 0.9 : 0.3)))
const p = of(row => (city[row] === 3 ? 0.05 : 0.1 + 0.4 * clicked[row]! + 0.02 * random.uniform()))
const offsets = Uint32Array.from({ length: ROWS + 1 }, (_, row) => row * 2)
const data: Columns & { files: [] } = {
  length: ROWS,
  rowStart: 0,
  files: [],
  ids: { city: Uint32Array.from(city), clicked: Uint32Array.from(clicked) },
  floats: {
    p: Float32Array.from(p),
    noise: Float32Array.from(of(() => random.normal())),
    price: Float32Array.from(of(row => row)),
    price_misses: Float32Array.from(of(row => Number(row < 40))),
  },
  lists: {
    title: { values: Uint32Array.from({ length: 2 * ROWS }, (_, i) => 1 + (i % 49)), offsets },
    query: { values: new Uint32Array(0), offsets: new Uint32Array(ROWS + 1) },
  },
}
const raw = {
  names: { city: 'Town', price: 'Price', price_misses: 'Price' },
  indicators: { Price: 'price_misses' },
  valueOf: (column: string, code: number) =>
    column === 'city' ? ['unknown', 'Oslo', 'Rome', 'Kyiv'][code] : undefined,
}
const model = new Planted().to(gpu) as unknown as kg.Model
const how = { features: featuresOf(model.inputs, raw), seed: 3, batchSize: 64, truncate: false }
const auc = ['roc_auc', model.metrics().figures.roc_auc!] as [string, never]

test('features are columns under raw names, a text is one, labels are none', () => {
  assert.equal(
    how.features.map(({ name, ids, floats, lists }) => [name, ids, floats, lists]),
    [
      ['p', [], ['p'], []],
      ['noise', [], ['noise'], []],
      ['Price', [], ['price', 'price_misses'], []],
      ['Town', ['city'], [], []],
      ['title + query', [], [], ['title', 'query']],
    ],
  )
  const shared: Inputs = {
    lists: { kind: 'list', columns: ['query_id'], trainOnly: true },
    ids: { kind: 'ids', columns: { query_id: 9, ad: 3 } },
  }
  assert.equal(
    featuresOf(shared).map(({ name }) => name),
    ['ad'],
  )
  const hidden: Inputs = {
    text: {
      kind: 'text',
      columns: [{ name: 't', dtype: 'token_id' }],
      rows: 9,
      padTokenId: 0,
      maxPositions: 4,
    },
    masked: { kind: 'masked', of: 'text', probability: 0.2, maskTokenId: 1, specialTokenIds: [] },
  }
  assert.equal(featuresOf(hidden), [])
})

test('rows are dealt out whole: a text with its tokens, a date with all its parts', () => {
  const from = Uint32Array.of(2, 0, 1)
  const three = pickRows(data, Uint32Array.of(4, 30, 450))
  const text = permuted(three, how.features[4]!, from)
  const title = (columns: Columns, row: number) => {
    const { values, offsets } = columns.lists.title!
    return [...values.subarray(offsets[row], offsets[row + 1])]
  }
  assert.equal(
    [0, 1, 2].map(row => title(text, row)),
    [450, 4, 30].map(row => title(data, row)),
  )
  assert.equal(text.floats, three.floats)
  const price = permuted(three, how.features[2]!, from)
  assert.equal([...price.floats.price!], [450, 4, 30])
  assert.equal([...price.floats.price_misses!], [0, 1, 1])
  assert.equal(price.floats.p, three.floats.p)
})

test('what the model reads matters, by how much the figure falls; what it does not read is 0', async () => {
  const found = await permutationImportance(model, data, { ...how, rows: 300, repeats: 3, figure: auc })
  const { rows, of, repeats, base, features } = found!
  assert.equal([rows, of, repeats, features.length], [300, ROWS, 3, 5])
  const [first, ...others] = features
  assert.is(first!.name, 'p')
  // A permuted score says nothing.
  assert.ok(Math.abs(base - first!.worse - 0.5) < 0.1, `${base} ${first!.worse}`)
  assert.ok(first!.deviation! > 0)
  for (const other of others) assert.equal([other.worse, other.deviation], [0, 0])
  assert.equal(
    await permutationImportance(model, data, { ...how, rows: 300, repeats: 3, figure: auc }),
    found,
  )
  const loss = await permutationImportance(model, data, {
    ...{ ...how, rows: 300, repeats: 1 },
    figure: ['log_loss', { better: 'lower' }],
  })
  assert.ok(loss!.features[0]!.worse > 0)
  assert.is(loss!.features[0]!.deviation, null)
  const one = { ...data, ids: { ...data.ids, clicked: new Uint32Array(ROWS) } }
  assert.is(
    await permutationImportance(model, one, { ...how, rows: 300, repeats: 1, figure: auc }),
    undefined,
  )
})

test('slices have the mean of their rows, and the city in which the model is wrong is the worst', async () => {
  const slices = (await errorsBySlice(model, data, { ...how, rows: ROWS, raw }))!
  assert.is(slices.figure, 'log_loss')
  const loss = (row: number) => -Math.log(clicked[row] ? Math.fround(p[row]!) : 1 - Math.fround(p[row]!))
  const mean = (rows: number[], of: (row: number) => number) =>
    rows.reduce((sum, row) => sum + of(row), 0) / rows.length
  const rows = of(row => row)
  assert.ok(Math.abs(slices.all.mean - mean(rows, loss)) < 1e-5)
  const towns = slices.features.find(({ name }) => name === 'Town')!
  assert.equal(new Set(towns.slices.map(({ value }) => value)), new Set(['unknown', 'Oslo', 'Rome', 'Kyiv']))
  const kyiv = towns.slices.find(({ value }) => value === 'Kyiv')!
  const there = rows.filter(row => city[row] === 3)
  const spread = Math.sqrt(
    there.reduce((sum, row) => sum + (loss(row) - mean(there, loss)) ** 2, 0) / (there.length - 1),
  )
  const half = (1.96 * spread) / Math.sqrt(there.length)
  assert.is(kyiv.count, there.length)
  for (const [got, want] of [
    [kyiv.mean, mean(there, loss)],
    [kyiv.low!, mean(there, loss) - half],
    [kyiv.high!, mean(there, loss) + half],
    [kyiv.clicks!, mean(there, row => clicked[row]!)],
    [kyiv.predicted!, mean(there, row => p[row]!)],
  ] as const)
    assert.ok(Math.abs(got - want) < 1e-5, `${got} ${want}`)
  assert.equal([slices.worst[0]!.feature, slices.worst[0]!.value], ['Town', 'Kyiv'])
  const price = slices.features.find(({ name }) => name === 'Price')!
  assert.equal(
    price.slices.map(({ value, count }) => [value, count]),
    [
      ['there', ROWS - 40],
      ['missing', 40],
    ],
  )
  assert.equal(
    slices.features
      .find(({ name }) => name === 'title + query')!
      .slices.map(({ value, count }) => [value, count]),
    [['2 tokens', ROWS]],
  )
})

test('of lists, whole ones are drawn, and what is the same in every list makes slices of them', async () => {
  const list = of(row => Math.floor(row / 5))
  const inputs: Inputs = {
    lists: { kind: 'list', columns: ['list'], trainOnly: true },
    labels: { kind: 'floats', columns: ['grade'], trainOnly: true },
    numbers: { kind: 'floats', columns: ['p'] },
    codes: { kind: 'ids', columns: { group: 2, ad: 7 } },
  }
  const columns: Columns = {
    ...data,
    ids: {
      list: Uint32Array.from(list),
      group: Uint32Array.from(list, l => Number(l < 50)),
      ad: Uint32Array.from(of(row => row % 7)),
    },
    // In group 1 the order is the worst there is, in group 0 the best; the last list has no positive.
    floats: {
      grade: Float32Array.from(of(row => (row < 495 ? row % 5 : 0))),
      p: Float32Array.from(of(row => (list[row]! < 50 ? -1 : 1) * (row % 5))),
    },
    lists: {},
  }
  const rows = drawRows(columns, inputs, { rows: 52, seed: 1 })
  assert.is(rows.length, 50)
  for (const row of rows) assert.ok(rows.includes(row - (row % 5)) && rows.includes(row - (row % 5) + 4))
  assert.is(drawRows(columns, inputs, { rows: 3, seed: 1 }).length, 5)
  class Ordered extends Planted {
    override readonly inputs = inputs as never
    override scores(batch: never) {
      const { numbers } = batch as { numbers: Record<string, Float32Array> }
      return kg.tensor(this.gpu, Float32Array.from(numbers.p!), [numbers.p!.length, 1]) as never
    }
    override scoreNames() {
      return ['score']
    }
  }
  const ranker = new Ordered().to(gpu) as unknown as kg.Model
  const slices = (await errorsBySlice(ranker, columns, { ...how, features: featuresOf(inputs), rows: ROWS }))!
  assert.is(slices.figure, 'ndcg@10')
  assert.equal(
    slices.features.map(({ name }) => name),
    ['group'],
  )
  const [large, small] = slices.features[0]!.slices
  assert.equal([large!.value, large!.count, small!.value, small!.count], ['1', 50, '0', 49])
  assert.is(small!.mean, 1)
  assert.ok(large!.mean < 0.8)
  assert.equal(
    slices.worst.map(({ feature, value }) => [feature, value]),
    [['group', '1']],
  )
})

test('of hundreds of features, none is dealt out where nobody asks', async () => {
  const names = Array.from({ length: 201 }, (_, i) => `x${i}`)
  class Wide extends Planted {
    override readonly inputs = {
      ...(model.inputs as Inputs),
      numbers: { kind: 'floats', columns: ['p', ...names] },
    } as never
  }
  const floats = { ...data.floats, ...Object.fromEntries(names.map(name => [name, data.floats.noise!])) }
  const trainer = { seed: 1, per_device_eval_batch_size: 128, truncate: false, metric_for_best_model: null }
  const told = async (one: kg.Model, columns: typeof data) => {
    const { importance, slices } = await explain(one, columns, trainer as never, { trained: 3000 })
    assert.is.not(slices, undefined)
    return importance?.features.length
  }
  assert.is(await told(model, data), 6)
  assert.is(await told(new Wide().to(gpu), { ...data, floats }), undefined)
})

test.run()
