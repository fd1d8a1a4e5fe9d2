// What a report says of lists: by rank, by length and group, and what a model learned of places beside the truth.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig } from '../../../src/config/index.ts'
import { parquetBytes, randomStream } from '../../../src/data/index.ts'
import * as kg from '../../../src/index.ts'
import { ListEvaluation, parseRunReport, runReport } from '../../../src/train/index.ts'
import { listsTable } from '../../../src/train/report/lists-table.ts'
import { openTestGpu } from '../../support/gpu.ts'

test('lists by rank, length and group: those without positives are counted and left out', () => {
  const evaluation = new ListEvaluation()
  // Lists of 1, 2, 4 and 5 documents; the third has no positive.
  const starts = [0, 1, 3, 7, 12]
  const labels = [1, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 1]
  const scores = Float32Array.of(0, 2, 1, 4, 3, 2, 1, 5, 4, 3, 2, 1)
  const group = [0, 1, 2, 3].flatMap(list =>
    Array(starts[list + 1]! - starts[list]!).fill(['often', 'rare', 'rare', 'often'][list]),
  )
  evaluation.addLists({ labels, starts }, scores, group)
  const { ndcg, by_length, by_group } = evaluation.listCurves()
  const at = (rank: number) => 1 / Math.log2(1 + rank)
  const last = (3 * at(3) + at(5)) / (3 * at(1) + at(2))
  const round = (x: number) => Number(x.toFixed(6))
  assert.is(ndcg.length, 5)
  assert.equal([ndcg[0], ndcg[4]], [round(1 / 3), round((1 + at(2) + last) / 3)])
  assert.equal(by_length, [
    { name: '1', lists: 1, left_out: 0, ndcg: 1 },
    { name: '2', lists: 1, left_out: 0, ndcg: round(at(2)) },
    { name: '3-4', lists: 1, left_out: 1, ndcg: null },
    { name: '5-8', lists: 1, left_out: 0, ndcg: round(last) },
  ])
  assert.equal(by_group, [
    { name: 'often', lists: 2, left_out: 0, ndcg: round((1 + last) / 2) },
    { name: 'rare', lists: 2, left_out: 1, ndcg: round(at(2)) },
  ])
  const report = runReport({
    name: '<run>',
    adapter: 'adapter: none',
    config: { architecture: 'TabularRanker', trainer: parseTrainerConfig({}, 'the test') },
    model: { architecture: 'TabularRanker', parameters: 3 },
    rows: { train: 12, evaluation: 12 },
    state: { global_step: 1, epoch: 1, log_history: [] },
    seconds: 1,
    metrics: evaluation.result(),
    lists: { ndcg, by_length, by_group, propensities: { learned: [1, 0.5], truth: [1, 0.6] } },
  })
  const read = parseRunReport(JSON.parse(JSON.stringify(report)), 'the test')
  assert.equal(read.lists, report.lists)
  const html = listsTable([read])
  for (const text of ['by length of the lists', 'by group', '3-4', 'often', 'n/a'])
    assert.ok(html.includes(text), text)
  assert.throws(() => parseRunReport({ ...report, lists: { ndcg: 'x' } }, 'the test'), /lists/)
  // Reports of before know nothing of lists.
  const { lists: _, ...old } = report
  assert.is(parseRunReport(JSON.parse(JSON.stringify(old)), 'the test').lists, undefined)
})

test('a ranker says what it learned of places, the first being 1', async () => {
  const gpu = await openTestGpu()
  const random = randomStream(2, 0)
  const rows = Array.from({ length: 400 }, (_, list) =>
    Array.from({ length: 4 }, (_, position) => ({
      list,
      position,
      x: random.normal(),
      label: Number(random.uniform() < 0.8 / (1 + position)),
    })),
  ).flat()
  const KINDS = { list: 'int64', position: 'int64', x: 'double', label: 'double' } as const
  const names = Object.keys(KINDS) as (keyof typeof KINDS)[]
  const bytes = await parquetBytes(
    names.map(name => ({ name, kind: KINDS[name], data: rows.map(row => row[name]) })),
  )
  for (const loss of ['pbm', 'dla', 'two_tower', 'regression_em', 'pair_debias', 'pointwise'] as const) {
    const model = new kg.TabularRanker({
      features_config: { x: { dtype: 'numerical' } },
      loss,
      ...(loss === 'pointwise' ? {} : { position: { column: 'position', rows: 4 } }),
    }).to(gpu, { seed: 1 })
    const data = await kg.loadDataset(bytes, { inputs: model.inputs })
    const config = kg.parseTrainerConfig(
      {
        max_steps: 40,
        per_device_train_batch_size: 50,
        learning_rate: 0.1,
        eval_steps: null,
        load_best_model_at_end: false,
      },
      'the test',
    )
    await new kg.Trainer({ model, config, train: data }).train()
    const learned = await model.placesLookedAt()
    if (loss === 'pointwise') assert.is(learned, undefined)
    else {
      assert.is(learned!.length, 4)
      if (loss !== 'pair_debias') assert.is(learned![0], 1)
      assert.ok(learned![0]! > learned![2]! && learned![1]! > learned![3]!, `${loss}: ${learned}`)
    }
    model.free()
  }
  gpu.close()
})

test.run()
