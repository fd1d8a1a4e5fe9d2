// TwinBERT against frozen values, and what is true of every form of it.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { checkSidedCase } from '../../bench/parity/sided-case.ts'
import { noGrad, scope, type Tensor, takeRows, tensor } from '../../src/autograd/index.ts'
import { parseTrainerConfig } from '../../src/config/index.ts'
import { collatePadded, loadDataset, parquetBytes } from '../../src/data/index.ts'
import type { CollatedTokens, Inputs } from '../../src/inputs.ts'
import {
  bytesToVectors,
  createModel,
  isTwoSided,
  type TwinConfig,
  TwinModel,
  vectorsToBytes,
} from '../../src/models/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { Trainer } from '../../src/train/index.ts'
import { generator, openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()
const PAD = 30

const CONFIG: TwinConfig = {
  features_config: {
    search: { dtype: 'token_id' },
    title: { dtype: 'token_id' },
    body: { dtype: 'token_id' },
  },
  sides: { query: ['search'], ad: ['title', 'body'] },
  pretrained_model_config: {
    vocab_size: PAD + 1,
    dim: 12,
    n_heads: 2,
    n_layers: 2,
    hidden_dim: 20,
    max_position_embeddings: 9,
    pad_token_id: PAD,
    dropout: 0,
    attention_dropout: 0,
    initializer_range: 0.5,
  },
}

for (const name of ['cosine', 'residual']) {
  test(`the ${name} form equals frozen values: forward, gradients, ten steps`, async () => {
    const folder = `test/golden/twin/${name}`
    const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
    const findings = await checkSidedCase(gpu, folder, frozen, { final: name === 'cosine' })
    assert.is(findings.length, name === 'cosine' ? 6 : 4)
    assert.ok(findings.every(passes), findingsTable(findings))
  })
}

/** Texts of the given token lists, padded to the longest; first positions are kept where `keepFirst` says so. */
function textOf(lists: number[][], keepFirst = false): CollatedTokens {
  const S = Math.max(1, ...lists.map(({ length }) => length))
  const inputIds = lists.map(list => [...list, ...Array(S - list.length).fill(PAD)])
  return collatePadded({ inputIds }, { padTokenId: PAD, vocabSize: PAD + 1, keepFirst }).text!
}

const LISTS = [[3, 4, 5], [], [7], [8, 9, 2, 1], [11, 12]]

const read = (make: () => Tensor): Promise<Float32Array> => scope(() => noGrad(() => make().read()))

for (const pooling of ['weighted', 'first_token'] as const) {
  test(`${pooling}: a text has the same vector in any batch, and an empty one is zero and passes no gradient`, async () => {
    const model = new TwinModel({ ...CONFIG, pooling }).to(gpu, { seed: 3 }).eval()
    const keepFirst = pooling === 'first_token'
    assert.is(model.sides.ad.keepFirst ?? false, keepFirst)
    const E = model.vectorSize
    assert.is(E, 12)
    const all = await read(() => model.encode('ad', textOf(LISTS, keepFirst)))
    for (const [b, list] of LISTS.entries()) {
      const alone = await read(() => model.encode('ad', textOf([list], keepFirst)))
      const own = all.subarray(b * E, (b + 1) * E)
      if (!list.length) assert.ok([...own, ...alone].every(value => value === 0))
      else {
        expectClose(own, alone, 1e-5, { label: `text ${b}` })
        assert.ok(own.some(value => Math.abs(value) > 0.01))
      }
    }
    const empty = textOf([[], []], keepFirst)
    scope(() => model.encode('ad', empty).backward({ seed: tensor(gpu, seeded(2 * E, 5), [2, E]) }))
    for (const [name, parameter] of model.namedParameters()) {
      if (name.startsWith('crossing') || name.includes('embeddings.')) continue
      assert.ok(
        (await parameter.readGrad()).every(value => value === 0),
        name,
      )
    }
    model.free()
  })
}

test('weighted pooling leaves masked tokens out, whatever stands in them', async () => {
  const model = new TwinModel(CONFIG).to(gpu, { seed: 3 }).eval()
  const text = textOf([
    [3, 4, 5],
    [7, 8],
  ])
  const keyMask = Uint32Array.from(text.keyMask)
  keyMask[1] = 0
  const masked = await read(() => model.encode('query', { ...text, keyMask }))
  const ids = (list: Uint32Array) => Uint32Array.from(list).with(1, 20)
  const inputIds = ids(text.inputIds.ids as Uint32Array)
  const other = await read(() => model.encode('query', { ...text, inputIds, keyMask }))
  expectClose(masked, other, 1e-6)
  const whole = await read(() => model.encode('query', text))
  assert.ok(Math.abs(whole[0]! - masked[0]!) > 1e-3)
  model.free()
})

test('tied towers share what they are made of, others do not; vectors of both follow', async () => {
  const tied = new TwinModel({ ...CONFIG, downscale: 4 }).to(gpu, { seed: 1 }).eval()
  const two = new TwinModel({ ...CONFIG, downscale: 4, tied: false }).to(gpu, { seed: 1 }).eval()
  assert.equal(Object.keys(tied.encoders()), ['bert'])
  assert.equal(Object.keys(two.encoders()), ['query_bert', 'ad_bert'])
  const tops = (model: TwinModel) => [
    ...new Set([...model.namedParameters()].map(([name]) => name.split('.')[0])),
  ]
  assert.equal(tops(tied), ['bert', 'pooler', 'downscale', 'crossing'])
  assert.equal(tops(two), [
    'query_bert',
    'query_pooler',
    'query_downscale',
    'ad_bert',
    'ad_pooler',
    'ad_downscale',
    'crossing',
  ])
  assert.equal(tied.tower('ad'), tied.tower('query'))
  const [names, own] = [
    two.tower('ad'),
    [...two.namedParameters()].filter(([name]) => name.startsWith('ad_')),
  ]
  assert.equal(
    names.map(([name]) => name),
    own.map(([name]) => name),
  )
  assert.ok(names.every(([, parameter], i) => parameter === own[i]![1]))
  const text = textOf(LISTS)
  const sides = async (model: TwinModel) =>
    Promise.all((['query', 'ad'] as const).map(side => read(() => model.encode(side, text))))
  const [query, ad] = (await sides(tied)) as [Float32Array, Float32Array]
  assert.equal(query, ad)
  const [otherQuery, otherAd] = (await sides(two)) as [Float32Array, Float32Array]
  assert.ok(Math.abs(otherQuery[0]! - otherAd[0]!) > 1e-3)
  assert.ok(tied.bytes && tied.vectorSize === 4 && !new TwinModel(CONFIG).bytes)
  tied.free()
  two.free()
})

const FORMS: TwinConfig['crossing'][] = [
  'cosine',
  'residual',
  { type: 'residual', hidden_size: 7, merge: 'concat' },
  { type: 'residual', batch_norm: true },
]
for (const crossing of FORMS) {
  test(`${JSON.stringify(crossing)}: one query against all ads is each of them by itself; loss and scores agree with the logits`, async () => {
    const model = new TwinModel({ ...CONFIG, crossing }).to(gpu, { seed: 5 }).eval()
    const [query, ad] = [textOf([[1, 2], [4], [], [9, 8, 7], [6]]), textOf(LISTS)]
    const labels = seededInts(5, 3, 2)
    const batch = { size: 5, rows: [0, 1, 2, 3, 4], query, ad, labels }
    const C = crossing === 'cosine' ? 1 : 2
    const got = scope(() =>
      noGrad(() => {
        const { query, ad, logits } = model.parts(batch)
        const first = takeRows(query, [0])
        return {
          logits: logits.read(),
          grid: model.cross(first, ad).read(),
          pair: model.cross(takeRows(query, [0, 0, 0, 0, 0]), ad).read(),
          own: model.cross(first, takeRows(ad, [0])).read(),
          scores: model.scores(batch).read(),
          loss: model.loss(batch).read(),
        }
      }),
    )
    const [logits, grid, pair] = [await got.logits, await got.grid, await got.pair]
    assert.is(logits.length, 5 * C)
    expectClose(grid, pair, 1e-6)
    expectClose(await got.own, logits.subarray(0, C), 1e-5)
    const scores = await got.scores
    let loss = 0
    for (let b = 0; b < 5; b++) {
      const z = C === 1 ? logits[b]! : logits[2 * b + 1]! - logits[2 * b]!
      const p = 1 / (1 + Math.exp(-z))
      assert.ok(Math.abs(scores[2 * b + 1]! - p) < 1e-5 && Math.abs(scores[2 * b]! + p - 1) < 1e-5)
      loss -= Math.log(labels[b] ? p : 1 - p) / 5
    }
    expectClose(await got.loss, [loss], 1e-5)
    model.free()
  })
}

test('what is no side, text or vector of its size is refused by name', () => {
  const model = new TwinModel(CONFIG).to(gpu, { seed: 3 })
  const text = textOf(LISTS)
  for (const side of ['title', '', undefined, null, 0])
    assert.throws(() => model.encode(side as never, text), /side is .*, expected 'query' or 'ad'/)
  assert.throws(() => model.tower('doc' as never), /side is 'doc', expected 'query' or 'ad'/)
  for (const nothing of [null, undefined, 'a b', [1, 2]])
    assert.throws(() => model.encode('ad', nothing as never), /text is .*expected packed tokens/)
  assert.throws(
    () => model.loss({ size: 5, query: text } as never),
    /TwinModel needs a batch with the text 'ad'/,
  )
  assert.throws(
    () => model.loss({ size: 4, query: text, ad: text } as never),
    /batch\.query has 5 rows, expected 4/,
  )
  const labels = Uint32Array.of(0, 1, 2, 0, 1)
  assert.throws(
    () => model.loss({ size: 5, rows: [9, 8, 7, 6, 5], query: text, ad: text, labels }),
    /row 7: value 2/,
  )
  // Who asks for scores has no labels that count.
  for (const ask of ['scores', 'logits'] as const)
    assert.is(
      scope(() => model[ask]({ size: 5, rows: [], query: text, ad: text, labels }).shape[0]),
      5,
    )
  assert.throws(() => model.loss({ size: 5, rows: [], query: text, ad: text }), /the batch has no labels/)
  const vectors = (rows: number, size: number) => tensor(gpu, new Float32Array(rows * size), [rows, size])
  assert.throws(() => model.cross(vectors(2, 12), vectors(3, 12)), /query has 2 rows and ad 3/)
  assert.throws(
    () => model.cross(vectors(2, 12), vectors(2, 11)),
    /ad has shape \[2, 11\], expected \[B, 12\]/,
  )
  for (const nothing of [null, undefined, new Float32Array(24), {}])
    assert.throws(() => model.cross(vectors(2, 12), nothing as never), /TwinModel\.cross: ad is/)
  model.free()
})

test('bytes: halves go to the even one, the ends fit, and what lies outside is refused', () => {
  const at = (u: number) => Math.fround(u / 127.5 - 1)
  assert.equal([...vectorsToBytes(Float32Array.of(-1, 1, 0, at(3), at(200)))], [0, 255, 128, 3, 200])
  // 0 is 127.5, half way, and 128 is even.
  assert.equal([...vectorsToBytes(Float32Array.of(-1 - 5e-7, 1 + 5e-7))], [0, 255])
  const values = seeded(500, 7).map(Math.tanh)
  const back = bytesToVectors(vectorsToBytes(values))
  assert.ok(back.every((value, i) => Math.abs(value - values[i]!) <= 1 / 255 + 1e-6))
  assert.equal(
    vectorsToBytes(bytesToVectors(Uint8Array.from({ length: 256 }, (_, u) => u))).join(),
    [...Array(256).keys()].join(),
  )
  for (const value of [1.1, -1.00001, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => vectorsToBytes(Float32Array.of(0, value)), /number 1 is .*expected one in \[-1, 1\]/)
  assert.throws(() => vectorsToBytes([0.5] as never), /expected a Float32Array/)
  assert.throws(() => bytesToVectors([3] as never), /expected a Uint8Array/)
})

test('a row that would be a batch by itself is left out where the residual layer normalizes batches, and one alone is refused', async () => {
  const next = generator(8)
  const list = () => Array.from({ length: 1 + Math.floor(next() * 4) }, () => Math.floor(next() * PAD))
  const ROWS = 9
  const lists = () => Array.from({ length: ROWS }, list)
  const labels = Array.from({ length: ROWS }, (_, i) => i % 2)
  const bytes = await parquetBytes([
    ...['search', 'title', 'body'].map(name => ({ name, kind: 'list<int64>' as const, data: lists() })),
    { name: 'label', kind: 'int64', data: labels },
  ])
  const warned: string[] = []
  const run = async (size: number, batch_norm = true) => {
    const crossing = { type: 'residual', batch_norm } as const
    const model = new TwinModel({ ...CONFIG, crossing }).to(gpu, { seed: 2 })
    const train = await loadDataset(bytes, { inputs: model.inputs as Inputs })
    const settings = {
      per_device_train_batch_size: size,
      num_train_epochs: 2,
      gradient_accumulation_steps: 1,
    }
    const none = { eval_steps: null, save_steps: null, load_best_model_at_end: false }
    const config = parseTrainerConfig({ ...settings, ...none }, 'the test')
    try {
      const trainer = new Trainer({ model, config, train, onWarning: text => warned.push(text) })
      return (await trainer.train()).global_step
    } finally {
      model.free()
    }
  }
  assert.is(await run(4), 4, 'two batches of four an epoch')
  assert.is(warned.length, 1)
  assert.match(warned[0]!, /9 rows in batches of 4 leave one .* that row is left out, another one each epoch/)
  assert.is(await run(4, false), 6)
  assert.is(warned.length, 1)
  const error = await run(1).catch(error => error as Error)
  assert.match(String(error), /per_device_train_batch_size is 1, and the model has batch normalization/)
})

test('it is found by its name, and known as two-sided', () => {
  const model = createModel({ ...CONFIG, architecture: 'TwinModel' })
  assert.ok(model instanceof TwinModel && isTwoSided(model))
  const { sides: _, ...features } = CONFIG
  assert.ok(!isTwoSided(createModel(features as never)))
  for (const nothing of [null, undefined, 3, 'twin', {}, { sides: {} }])
    assert.ok(!isTwoSided(nothing as never), String(nothing))
})

test.after(() => gpu.close())
test.run()
