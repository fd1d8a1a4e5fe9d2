// Rankers by table: every loss trains through the Trainer and goes on to the bit; places count for the loss alone; what is refused.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collate, parquetBytes, randomStream } from '../../src/data/index.ts'
import * as kg from '../../src/index.ts'
import { readOptions, type TabularRankerConfig } from '../../src/models/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-ranker-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const random = randomStream(3, 0)
/** Lists of 1 to 6 documents; the first list has no click. */
const rows = Array.from({ length: 23 }, (_, list) =>
  Array.from({ length: 1 + random.below(6) }, (_, position) => ({
    list,
    position,
    x: random.normal(),
    kind: random.below(3),
    label: Number(list > 0 && random.uniform() < 0.5),
  })),
).flat()
const KINDS = { list: 'int64', position: 'int64', x: 'double', kind: 'int64', label: 'double' } as const
type Name = keyof typeof KINDS
const bytesOf = (given: Record<string, number>[], names = Object.keys(KINDS) as Name[]) =>
  parquetBytes(names.map(name => ({ name, kind: KINDS[name], data: given.map(row => row[name]!) })))

const TABLE = {
  features_config: {
    x: { dtype: 'numerical' },
    kind: { dtype: 'categorical', vocab_size: 3, embedding_size: 2 },
  },
  mlp_config: [{ hidden_size: 5, activation_function: 'ReLU' }],
} as const satisfies Partial<TabularRankerConfig>
const config = (more: object): TabularRankerConfig => ({ ...structuredClone(TABLE), ...more }) as never
const propensities = [1, 0.6, 0.4, 0.3, 0.2, 0.1]
const LOSSES = [
  'pointwise',
  'pointwise_lists',
  'pairwise',
  { name: 'lambdarank', k: 3 },
  'listwise',
  'listwise_normed',
  'listnet',
  'two_tower',
  'pbm',
  { name: 'ips_pointwise', propensities },
  { name: 'ips_listwise', propensities, max_weight: 3 },
  'dla',
  'regression_em',
  'pair_debias',
]

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kg.KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

async function trained(own: TabularRankerConfig, { stopAt = 0 }: { stopAt?: number } = {}) {
  const output = join(folder, `${JSON.stringify(own.loss)}-${stopAt}`.replace(/\W+/g, '-'))
  const run = async (resume: boolean) => {
    const model = new kg.TabularRanker(own).to(gpu, { seed: 5 })
    const data = await kg.loadDataset(await bytesOf(rows), readOptions(model))
    const trainer = new kg.Trainer({
      model,
      config: kg.parseTrainerConfig(
        {
          max_steps: 8,
          per_device_train_batch_size: 4,
          learning_rate: 0.05,
          save_steps: 2,
          eval_steps: null,
          load_best_model_at_end: false,
          seed: 9,
        },
        'the test',
      ),
      train: data,
      output,
      ...(stopAt && !resume
        ? {
            onLog: () => {},
            callbacks: [
              {
                onStepEnd: ({ state, control }) => {
                  if (state.global_step === stopAt) control.shouldTrainingStop = true
                },
              },
            ],
          }
        : {}),
    })
    await trainer.train(resume ? { resumeFromCheckpoint: true } : {})
    const state = [...(await model.stateDict())].map(([name, { data }]) => [
      name,
      [...(data as Float32Array)],
    ])
    return { model, data, state }
  }
  if (!stopAt) return run(false)
  await run(false)
  return run(true)
}

for (const loss of LOSSES) {
  const name = typeof loss === 'string' ? loss : loss.name
  // What is kept beside the model differs; the rest of a training does not.
  const goesOn = ['listwise', 'dla', 'pair_debias'].includes(name)
  test(`${name}: training lowers the loss${goesOn ? ', and goes on to the bit' : ''}`, async () => {
    const whole = await trained(config({ loss }))
    if (goesOn) assert.equal((await trained(config({ loss }), { stopAt: 4 })).state, whole.state)
    const fresh = new kg.TabularRanker(config({ loss })).to(gpu, { seed: 5 })
    const batch = collate(whole.data, Array.from(rows.keys()), fresh.inputs)
    const lossOf = async (model: kg.TabularRanker) => (await model.loss(batch).read())[0]!
    // Weights that training moves change what these losses are.
    if (name !== 'pair_debias' && name !== 'lambdarank')
      assert.ok((await lossOf(whole.model)) < (await lossOf(fresh)), name)
    const changed = whole.state.filter(([key]) => /propensities|pair_/.test(String(key)))
    assert.is(changed.length, { two_tower: 1, pbm: 1, dla: 1, regression_em: 1, pair_debias: 2 }[name] ?? 0)
    for (const [key, values] of changed)
      assert.ok(new Set(values as number[]).size > 1, `${key} is ${values}`)
  })
}

test('what is answered is the score alone: neither places nor labels change it, and both may be missing', async () => {
  const model = new kg.TabularRanker(config({ loss: 'two_tower' })).to(gpu, { seed: 2 })
  await model.loadStateDict(
    new Map(
      [...(await model.stateDict())].map(([name, tensor]) => [
        name,
        name === 'propensities.weight'
          ? { ...tensor, data: Float32Array.from({ length: 10 }, (_, k) => -k) }
          : tensor,
      ]),
    ) as never,
  )
  const all = await kg.loadDataset(await bytesOf(rows), readOptions(model))
  const judged = await kg.loadDataset(
    await bytesOf(rows, ['list', 'x', 'kind', 'label']),
    readOptions(model, 'judged'),
  )
  const bare = await kg.loadDataset(await bytesOf(rows, ['x', 'kind']), readOptions(model, 'optional'))
  const [scores, ofJudged, ofBare] = [
    await kg.predict(model, all),
    await kg.predict(model, judged),
    await kg.predict(model, bare),
  ]
  const column = (values: Float32Array, k: number) => values.filter((_, i) => i % 2 === k)
  assert.equal(model.scoreNames(), ['score', null])
  assert.equal(column(ofJudged, 0), column(scores, 0))
  assert.equal(column(ofBare, 0), column(scores, 0))
  assert.equal(column(ofJudged, 1), column(scores, 0), 'without a place, a click has the logit of relevance')
  const wanted = rows.map(({ position }, i) => Math.fround(column(scores, 0)[i]! - position))
  assert.equal([...column(scores, 1)], wanted)
  const [figures, without] = [await kg.evaluate(model, all), await kg.evaluate(model, judged)]
  assert.is(figures['ndcg@10'], without['ndcg@10'])
  assert.is(figures.lists, 23)
  assert.ok(figures.lists_left_out! >= 1)
  assert.is.not(figures.loss, without.loss)
})

test('an evaluation by group holds the figures of each group’s lists', () => {
  const labels = [0, 2, 1, 0, 0, 3, 1]
  const scores = Float32Array.of(0.1, 0.9, 0.5, 2, 1, 0.5, 3)
  const one = new kg.ListEvaluation().addLists({ labels, starts: [0, 3, 5, 7] }, scores, [
    ...['a', 'a', 'a', 'b', 'b', 'b', 'b'],
  ])
  const figures = one.result()
  const first = new kg.ListEvaluation().addLists(
    { labels: labels.slice(0, 3), starts: [0, 3] },
    scores.slice(0, 3),
  )
  for (const [name, value] of Object.entries(first.result()))
    assert.equal(figures[`${name} (a)`], value, name)
  assert.is(figures['lists (b)'], 2)
  assert.is(figures['lists_left_out (b)'], 1)
  // Equal in pieces.
  const pieces = new kg.ListEvaluation()
    .addLists({ labels: labels.slice(0, 5), starts: [0, 3, 5] }, scores.slice(0, 5))
    .addLists({ labels: labels.slice(5), starts: [0, 2] }, scores.slice(5))
    .result()
  for (const [name, value] of Object.entries(pieces)) assert.equal(figures[name], value, name)
})

test('the losses of an evaluation are those of training', async () => {
  const labels = Float32Array.of(0, 1, 1, 0, 0, 1, 0)
  const starts = Uint32Array.of(0, 3, 5, 7)
  const scores = Float32Array.of(0.1, 40, -30, 2, 1, 0.5, 3)
  const of = {
    pointwise: kg.losses.pointwise,
    pairwise: kg.losses.pairwise,
    listwise: kg.losses.listwiseNormed,
  }
  for (const loss of ['pointwise', 'pairwise', 'listwise'] as const) {
    const got = new kg.ListEvaluation({ loss }).addLists({ labels, starts }, scores).result().loss
    const [wanted] = await of[loss](kg.tensor(gpu, scores, [7, 1]), labels, starts).read()
    assert.ok(Math.abs(got - wanted!) < 1e-5 * Math.abs(wanted!), `${loss}: ${got}, ${wanted}`)
  }
})

test('wrong configurations are refused by key, value and what was expected', async () => {
  for (const [more, says] of [
    [{ loss: 'hinge' }, /loss: name: expected one of 'pointwise', .*got "hinge"/],
    [{ loss: { name: 'dla', k: 3 } }, /loss: unknown key "k"; allowed keys: name, max_weight/],
    [{ loss: 'ips_pointwise' }, /loss: .*propensities/],
    [
      { loss: { name: 'ips_pointwise', propensities: [1, 0] } },
      /loss: propensities\[1\]: expected a number above 0 and at most 1, got 0/,
    ],
    [
      { loss: { name: 'ips_pointwise', propensities: [] } },
      /loss: propensities: expected one number a position/,
    ],
    [
      { loss: { name: 'ips_pointwise', propensities: [1] }, position: { rows: 2 } },
      /position: rows is 2, and loss.propensities has 1/,
    ],
    [{ loss: 'listwise', position: { column: 'position' } }, /position: loss 'listwise' reads no places/],
    [
      { loss: 'two_tower', position: { rows: 0 } },
      /position: rows: expected an integer of at least 1, got 0/,
    ],
    [{ loss: { name: 'pair_debias', rate: 2 } }, /loss: rate: expected a number from 0 to 1, got 2/],
    [{ loss: { name: 'lambdarank', k: Number.NaN } }, /loss: k: expected an integer of at least 1, got NaN/],
    [{ loss: 3 }, /loss: expected a name/],
    [{ lists: [] }, /lists: columns: expected a column or more/],
    [{ lists: ['a', 'a'] }, /lists: column 'a' is named twice/],
    [{ lists: { columns: ['a'], longer: 'cut' } }, /lists: longer is 'cut', expected longest beside it/],
    [{ label: 7 }, /label: expected a string, got 7/],
    [
      { features_config: { t: { dtype: 'token_id' } } },
      /feature 't' has dtype 'token_id', expected 'numerical' or 'categorical'/,
    ],
    [{ features_config: {} }, /features_config has no feature/],
    [{ positions: 3 }, /unknown key "positions"/],
  ] as const)
    assert.match(await messageOf(() => new kg.TabularRanker(config(more))), says)
})

test('files that a loss cannot learn from are refused before the first step', async () => {
  const of = async (own: object, given: Record<string, number>[], names?: Name[]) => {
    const model = new kg.TabularRanker(config(own)).to(gpu, { seed: 1 })
    return messageOf(async () => kg.loadDataset(await bytesOf(given, names), readOptions(model)))
  }
  const changed = (row: number, more: object) => rows.map((one, i) => (i === row ? { ...one, ...more } : one))
  assert.match(
    await of({ loss: 'dla', position: { rows: 6 } }, changed(4, { position: 6 })),
    /column position, row 4: value 6, expected 0 to 5/,
  )
  assert.match(
    await of({}, changed(7, { label: -1 })),
    /column label, row 7: value -1, expected a finite float32 number of at least 0/,
  )
  assert.match(await of({ loss: 'pbm' }, rows, ['list', 'x', 'kind', 'label']), /no column '?position'?/)
  assert.match(await of({ label: 'click' }, rows), /no column '?click'?/)
  // By hand, without a file.
  const model = new kg.TabularRanker(config({ loss: 'two_tower' })).to(gpu, { seed: 1 })
  const data = await kg.loadDataset(await bytesOf(rows), readOptions(model))
  const labels = data.floats.label!.slice()
  labels[2] = -1
  const train = { ...data, floats: { ...data.floats, label: labels } }
  const options = { model, config: kg.parseTrainerConfig({ max_steps: 1 }, 'the test') }
  assert.match(
    await messageOf(() => new kg.Trainer({ ...options, train })),
    /column 'label', .*row 2: value -1, expected a finite float32 number of at least 0/,
  )
  labels[2] = 2
  assert.match(
    await messageOf(() => new kg.Trainer({ ...options, train })),
    /column 'label', .*row 2: value 2, expected 0 or 1: the loss 'two_tower' learns from clicks/,
  )
  const { position: _, ...ids } = data.ids
  assert.match(
    await messageOf(() => new kg.Trainer({ ...options, train: { ...data, ids } as never })),
    /no column 'position'/,
  )
  const batch = collate(data, [0, 1], model.inputs)
  assert.match(
    await messageOf(() => model.loss({ ...batch, lists: undefined } as never)),
    /TabularRanker: the batch lacks the lists of list, which the loss 'two_tower' reads/,
  )
  assert.match(await messageOf(() => model.loss(undefined as never)), /TabularRanker: batch is undefined/)
  assert.match(
    await messageOf(() => model.loss({ ...batch, lists: Uint32Array.of(0, 0, 2) })),
    /list 0 has no documents/,
  )
})

test.run()
