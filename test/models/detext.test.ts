// DeText against frozen values, and what is true of every form of it.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkDetextCase } from '../../bench/parity/detext-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { noGrad, scope } from '../../src/autograd/index.ts'
import { collate, loadDataset, parquetBytes, randomStream } from '../../src/data/index.ts'
import * as kg from '../../src/index.ts'
import type { ListCurves } from '../../src/metrics/index.ts'
import { type DetextConfig, DetextModel, type Similarity } from '../../src/models/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { parameterGroups } from '../../src/train/index.ts'
import { CONFIG, ENCODERS, PAD } from '../support/detext.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const name of ['bert_listwise', 'cnn_pairwise', 'lstm_pointwise', 'cnn_multitask'])
  test(`${name} equals frozen values: forward, gradients, three steps`, async () => {
    const folder = `test/golden/detext/${name}`
    const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
    const findings = await checkDetextCase(gpu, folder, frozen)
    assert.is(findings.length, 4)
    assert.ok(findings.every(passes), findingsTable(findings))
  })

/** Rows of lists, in an order in which no list stands together. */
const LISTS = 9
const random = randomStream(11, 0)
const words = (most: number) => Array.from({ length: random.below(most + 1) }, () => random.below(PAD + 1))
const lists = Array.from({ length: LISTS }, (_, l) => {
  const shared = {
    ...{ session: 70 + (l % 3), turn: Math.floor(l / 3), task: l % 2, member: random.below(6) },
    ...{ search: words(4), profile: l === 4 ? [] : words(6) },
  }
  return Array.from({ length: 1 + random.below(5) }, () => ({
    ...shared,
    ...{
      title: words(5),
      body: words(8),
      seller: random.below(7),
      shop: random.below(8),
      city: random.below(5),
    },
    ...{
      place: random.below(4),
      price: random.below(4) ? random.normal() : null,
      age: random.below(5) ? random.normal() : Number.NaN,
    },
    label: random.below(3),
  }))
})
type Row = Omit<(typeof lists)[number][number], 'age'> & { age: number | null }
const rows = Array.from({ length: 5 }, (_, i) => lists.flatMap(list => list[i] ?? [])).flat()
const kindOf = (name: keyof Row) =>
  LISTED.includes(name) ? 'list<int64>' : MEASURED.includes(name) ? 'double' : 'int64'
const LISTED = ['search', 'profile', 'title', 'body']
const MEASURED = ['price', 'age']
const bytesOf = (from: readonly Row[], leave: readonly string[] = []) =>
  parquetBytes(
    (Object.keys(rows[0]!) as (keyof Row)[])
      .filter(name => !leave.includes(name))

      .map(name => ({ name, kind: kindOf(name), data: from.map(row => row[name]) })),
  )
const dataOf = async (model: DetextModel, from: readonly Row[] = rows): Promise<kg.Dataset> =>
  loadDataset(await bytesOf(from), { inputs: model.inputs })
const make = (config: Partial<DetextConfig>) => new DetextModel({ ...CONFIG, ...config }).to(gpu, { seed: 5 })
async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kg.KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

for (const [name, encoder] of Object.entries(ENCODERS))
  test(`${name}: a document has one score in any batch, with its list and by itself, whatever the file lacks that only the loss reads`, async () => {
    for (const projected of [false, true]) {
      const model = make({ ...encoder, user_projection: projected, doc_projection: projected })
      const all = await kg.predict(model, await dataOf(model), { batchSize: 4 })
      assert.is(all.length, rows.length)
      assert.ok(new Set(all).size > rows.length / 2, 'scores differ')
      const bare = await loadDataset(await bytesOf(rows, ['session', 'turn', 'label']), {
        inputs: model.inputs,
        trainOnly: 'optional',
      })
      expectClose(await kg.predict(model, bare, { batchSize: 7 }), all, 2e-5)
      model.free()
    }
  })

for (const loss of ['pointwise', 'pairwise', 'softmax'] as const)
  test(`${loss}: what training makes less is what evaluation says, with one task and with two`, async () => {
    for (const tasks of [{}, { task: 'task', task_weights: [3, 1] }]) {
      const model = make({ loss, ...tasks, sparse_merge: 'concat' })
      const data = await dataOf(model)
      const order = lists.flatMap(list => list.map(row => rows.indexOf(row)))
      const batch = collate(data, order, model.inputs)
      const own = await scope(() => noGrad(() => model.loss(batch).read()))
      const curves: (ListCurves | undefined)[] = []
      const figures = await kg.evaluate(model, data, {
        batchSize: 2,
        onEvaluation: done => {
          curves.push(done.listCurves?.())
        },
      })
      expectClose([figures.loss], [...own], 1e-5)
      assert.ok(figures['ndcg@10']! > 0 && figures['ndcg@10']! <= 1)
      // What a report draws, and any rank as what says which checkpoint is best.
      assert.is(curves[0]?.ndcg[4], Number(figures['ndcg@10']!.toFixed(6)))
      assert.is(model.metrics({ also: ['ndcg@3'] }).figures['ndcg@3']!.better, 'greater')
      model.free()
    }
  })

test('every function alone has the width that it says, and the order of the reference', async () => {
  const widths: Record<Similarity, number> = { inner: 9, concat: 24, hadamard: 36, diff: 36 }
  for (const [name, width] of Object.entries(widths)) {
    const model = make({ similarities: [name as Similarity] })
    const data = await dataOf(model)
    const [U, D, E] = [3, 3, 4]
    const batch = collate(data, [rows.indexOf(lists[0]![0]!)], model.inputs)
    const parts = scope(() => noGrad(() => model.parts(batch)))
    assert.equal(parts.similarities.shape, [1, width])
    const [users, docs, got] = (await Promise.all(
      [parts.users, parts.docs, parts.similarities].map(one => one.read()),
    )) as [Float32Array, Float32Array, Float32Array]
    const of = (from: Float32Array, i: number) => [...from.subarray(i * E, (i + 1) * E)]
    const length = (x: number[]) =>
      Math.sqrt(
        Math.max(
          x.reduce((sum, v) => sum + v * v, 0),
          1e-12,
        ),
      )
    const expected = new Float64Array(width)
    if (name === 'concat') expected.set([...docs, ...users])
    else
      for (let d = 0; d < D; d++)
        for (let u = 0; u < U; u++) {
          const [a, b] = [of(users, u), of(docs, d)]
          if (name === 'inner')
            expected[d * U + u] = a.reduce((sum, v, e) => sum + v * b[e]!, 0) / (length(a) * length(b))
          else
            for (let e = 0; e < E; e++)
              expected[(d * E + e) * U + u] = name === 'diff' ? a[e]! - b[e]! : a[e]! * b[e]!
        }
    expectClose(got, expected, 2e-6, { label: name })
    model.free()
  }
})

test('it learns to order lists, wherever their rows stand, and goes on from a saved folder', async () => {
  const model = make({ loss: 'softmax' })
  const data = await dataOf(model)
  const before = await kg.evaluate(model, data)
  const config = kg.parseTrainerConfig(
    {
      ...{
        num_train_epochs: 30,
        per_device_train_batch_size: 4,
        gradient_accumulation_steps: 1,
        learning_rate: 0.02,
      },
      ...{
        lr_scheduler_type: 'linear',
        warmup_ratio: 0.1,
        adam_epsilon: 1e-6,
        logging_steps: null,
        eval_steps: null,
        save_steps: null,
      },
      ...{
        metric_for_best_model: 'ndcg@10',
        load_best_model_at_end: false,
        no_decay: ['*bias'],
      },
    },
    'the test',
  )
  await new kg.Trainer({ model, config, train: data, evaluation: data }).train()
  const after = await kg.evaluate(model, data)
  assert.ok(after.loss < before.loss / 2, `${before.loss} to ${after.loss}`)
  assert.ok(after['ndcg@10']! > 0.95, `${after['ndcg@10']}`)
  const again = kg.createModel({ ...model.config }).to(gpu)
  again.loadStateDict(await model.stateDict())
  expectClose(await kg.predict(again, data), await kg.predict(model, data), 0)
  for (const one of [model, again]) one.free()
})

test('mixed precision changes little of any form', async () => {
  for (const encoder of Object.values(ENCODERS))
    for (const projected of [false, true]) {
      const model = make({ ...encoder, user_projection: projected, doc_projection: projected })
      const data = await dataOf(model)
      const order = lists.flatMap(list => list.map(row => rows.indexOf(row)))
      const batch = collate(data, order, model.inputs)
      const plain = scope(() => noGrad(() => model.loss(batch).read()))
      const half = scope(() =>
        kg.autocast('f16', () => {
          const loss = model.loss(batch)
          const read = loss.keep().read()
          loss.backward()
          return read
        }),
      )
      expectClose(await half, await plain, 5e-3)
      model.free()
    }
})

test('an encoder of BERT learns at its own rate, no other does', () => {
  const rates = (name: string) => {
    const model = new DetextModel({ ...CONFIG, ...ENCODERS[name]! })
    const groups = parameterGroups(model, { learning_rate: 1, encoder_learning_rate: 0.1 })
    return groups.map(({ lr, params }) => [lr, params.length])
  }
  assert.equal(
    rates('bert').map(([lr]) => lr),
    [0.1, 1],
  )
  assert.equal(
    rates('cnn').map(([lr]) => lr),
    [1],
  )
})

test('null, NaN and 0 are one number to it; infinity is refused', async () => {
  const model = make({})
  const [row] = rows as [Row]
  const three = [null, Number.NaN, 0].map(age => ({ ...row, age }))
  const scores = await kg.predict(model, await dataOf(model, three))
  assert.is(scores[0], scores[1])
  assert.is(scores[0], scores[2])
  assert.match(
    await messageOf(() => dataOf(model, [row, { ...row, age: Number.POSITIVE_INFINITY }])),
    /column age, row 1: value Infinity, expected a finite float32 number, or none/,
  )
  model.free()
})

test('lists that cannot be are refused by row', async () => {
  const model = make({ task: 'task', task_weights: [1, 1] })
  const list = lists.find(({ length }) => length > 2)!
  const changed = (change: Partial<Row>) => list.map((row, i) => (i === 2 ? { ...row, ...change } : row))
  for (const [from, message] of [
    [
      changed({ search: [1, 2, 3, 4, 5] }),
      /^DetextModel: batch\.query, row 2: the value is another than that of row 0, which is of the same list/,
    ],
    [changed({ profile: [7, 7, 7] }), /^DetextModel: batch\.user_profile, row 2: the value is another/],
    [
      changed({ member: (list[0]!.member + 1) % 6 }),
      /^DetextModel: column 'member', row 2: the value is another/,
    ],
    [changed({ task: 1 - list[0]!.task }), /^DetextModel: column 'task', row 2: the value is another/],
    [changed({ task: 2 }), /column task, row 2: value 2, expected 0 to 1/],
    [changed({ seller: 7 }), /column seller, row 2: value 7, expected 0 to 6/],
    [changed({ title: Array(10).fill(1) }), /row 2.*10 tokens/],
    [changed({ label: -1 }), /column label, row 2: value -1, expected a finite float32 number of at least 0/],
  ] as [Row[], RegExp][])
    assert.match(
      await messageOf(async () => {
        const data = await dataOf(model, from)
        scope(() =>
          noGrad(() => model.loss(collate(data, data.length ? [...from.keys()] : [], model.inputs))),
        )
      }),
      message,
    )
  const data = await dataOf(model, list)
  const { lists: _, ...without } = collate(data, [...list.keys()], model.inputs)
  assert.match(await messageOf(() => model.loss(without)), /the batch lacks the lists of session, turn/)
  for (const [change, message] of [
    [{ lists: Uint32Array.of(0, 2) }, /batch\.lists goes from 0 to 2, expected 0 to/],
    [{ lists: Uint32Array.of(0, 1, 1, list.length) }, /batch\.lists\[2\] is 1 and the one before 1/],
    [{ query: undefined }, /the batch lacks the text 'query'/],
    [{ doc_title: without.query, size: undefined }, /batch\.size is undefined/],
    [{ ids: {} }, /'member'/],
    [{ task: Uint32Array.of(9) }, /task 9, expected 0 to 1/],
    [
      { dense: { price: new Float32Array(1), age: new Float32Array(1) } },
      /column 'price' has 1 rows, expected/,
    ],
    [{ labels: {} }, /the batch lacks the column 'label'/],
  ] as [object, RegExp][])
    assert.match(
      await messageOf(() =>
        model.loss({ ...without, lists: Uint32Array.of(0, list.length), ...change } as never),
      ),
      message,
    )
  model.free()
})

test.after(() => gpu.close())
test.run()
