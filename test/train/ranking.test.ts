// A ranker's run: what is best and when to stop go by lists, batches hold about so many rows of whole lists, and a cap of lists stays as it was.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parquetBytes, randomStream } from '../../src/data/index.ts'
import * as kg from '../../src/index.ts'
import type { TrainerProgress } from '../../src/train/index.ts'
import { type Batch, inputs, Ranker } from '../support/ranker.ts'

const gpu = await kg.openGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-ranking-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

/** Lists of 1 to 8 rows, some without a positive. */
const random = randomStream(8, 0)
const rows = Array.from({ length: 40 }, (_, list) =>
  Array.from({ length: 1 + random.below(8) }, () => {
    const price = random.normal()
    return { list, price, label: Number(list % 5 > 0 && price + random.normal() > 0.5) }
  }),
).flat()
const bytes = await parquetBytes([
  { name: 'list', kind: 'int64', data: rows.map(row => row.list) },
  { name: 'price', kind: 'double', data: rows.map(row => row.price) },
  { name: 'label', kind: 'double', data: rows.map(row => row.label) },
])
const ranker = (lists: object = { columns: ['list'] }) =>
  new kg.TabularRanker({
    features_config: { price: { dtype: 'numerical' } },
    mlp_config: [{ hidden_size: 4, activation_function: 'ReLU' }],
    lists: lists as never,
    loss: 'pairwise',
  }).to(gpu, { seed: 3 })

const SETTINGS = {
  max_steps: 12,
  per_device_train_batch_size: 8,
  gradient_accumulation_steps: 2,
  learning_rate: 0.02,
  eval_steps: 2,
  save_steps: 2,
  save_total_limit: null,
  logging_steps: 1,
  seed: 4,
}

async function trainerOf(model: kg.Model, settings: object, more: Partial<kg.TrainerOptions> = {}) {
  const data = await kg.loadDataset(bytes, { inputs: model.inputs })
  const config = kg.parseTrainerConfig({ ...SETTINGS, ...settings } as never, 'the test')
  return new kg.Trainer({ model, config, train: data, evaluation: data, ...more })
}

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kg.KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

test('any rank of a measure of order says which checkpoint is best; lists without positives are counted', async () => {
  for (const metric of ['ndcg@10', 'ndcg@3', 'eval_mrr@2', 'precision@1', 'hit@1']) {
    const output = join(folder, metric)
    const model = ranker()
    const trainer = await trainerOf(model, { metric_for_best_model: metric }, { output })
    const { log_history, best_metric, best_global_step, best_model_checkpoint } = await trainer.train()
    const name = `eval_${metric.replace('eval_', '')}`
    const evaluations = log_history.filter(entry => name in entry)
    assert.is(evaluations.length, 6)
    const values = evaluations.map(entry => entry[name]!)
    assert.is(best_metric, Math.max(...values))
    assert.is(best_global_step, evaluations[values.indexOf(best_metric!)]!.step)
    assert.match(best_model_checkpoint!, `checkpoint-${best_global_step}`)
    const left = new Set(
      rows.filter(({ list }) => !rows.some(r => r.list === list && r.label)).map(r => r.list),
    )
    assert.ok(left.size >= 8)
    for (const { eval_lists, eval_lists_left_out } of evaluations as Record<string, number>[])
      assert.equal([eval_lists, eval_lists_left_out], [40, left.size])
    // The model holds the best evaluation's weights.
    const data = await kg.loadDataset(bytes, { inputs: model.inputs })
    const also = [name.slice('eval_'.length)]
    assert.is((await kg.evaluate(model, data, { also }))[also[0]!], best_metric)
    model.free()
  }
})

test('a measure of order stops a run early', async () => {
  const settings = {
    metric_for_best_model: 'ndcg@5',
    early_stopping_patience: 2,
    learning_rate: 0,
    max_steps: 40,
  }
  const trainer = await trainerOf(ranker(), settings)
  // The first is the best, and nothing changes any more.
  assert.is((await trainer.train()).global_step, 6)
})

test('what is no figure, or has the other direction, is refused', async () => {
  for (const wrong of ['ndgc@10', 'ndcg@0', 'ndcg@', 'ndcg@2.5', 'ndcg', 'auc@3', 'constructor'])
    assert.match(
      await messageOf(() => trainerOf(ranker(), { metric_for_best_model: wrong })),
      `metric_for_best_model is '${wrong}', expected one of loss, log_loss, ndcg@10`,
    )
  assert.match(
    await messageOf(() => trainerOf(ranker(), { metric_for_best_model: 'lists_left_out' })),
    /which is better neither greater nor lower/,
  )
  assert.match(
    await messageOf(() => trainerOf(ranker(), { metric_for_best_model: 'err@3', greater_is_better: false })),
    /greater_is_better is false, and err@3 is better when it is greater/,
  )
  const model = ranker()
  const data = await kg.loadDataset(bytes, { inputs: model.inputs })
  assert.match(
    await messageOf(() => kg.evaluate(model, data, { also: ['ndcg@x'] })),
    /evaluate: also names 'ndcg@x', expected one of loss, log_loss, ndcg@10/,
  )
  assert.match(
    await messageOf(() => kg.evaluate(model, data, { also: 'ndcg@3' as never })),
    /also is 'ndcg@3'/,
  )
})

const weightsOf = async (model: kg.Model) =>
  [...(await model.stateDict())].map(([name, { data }]) => [name, [...(data as Float32Array)]])

test('batches of about so many rows: every list is trained on once an epoch, and a stopped run goes on to the bit', async () => {
  const settings = { per_device_train_batch_rows: 25, gradient_accumulation_steps: 1, max_steps: 17 }
  const batches = Math.ceil(rows.length / 25)
  const run = async (output: string, stopAfter: number, resume = false) => {
    const model = ranker()
    const progress: TrainerProgress[] = []
    const trainer: kg.Trainer = await trainerOf(model, settings, {
      output,
      onProgress: at => progress.push(at),
      callbacks: [
        { onStepEnd: ({ state }) => void (state.global_step === stopAfter && trainer.interrupt()) },
      ],
    })
    const { epoch } = await trainer.train({ resumeFromCheckpoint: resume })
    const weights = await weightsOf(model)
    model.free()
    return { weights, epoch, progress: progress.at(-1)! }
  }
  const whole = await run(join(folder, 'rows-whole'), 0)
  assert.ok(Math.abs(whole.epoch - 17 / batches) < 1e-9)
  const { totalRows } = whole.progress
  assert.ok(Math.abs(totalRows - (17 / batches) * rows.length) <= 8, `${totalRows}`)
  const output = join(folder, 'rows')
  await run(output, 5)
  assert.equal((await run(output, 0, true)).weights, whole.weights)
  const other = { ...settings, per_device_train_batch_rows: 26 }
  assert.match(
    await messageOf(async () =>
      (await trainerOf(ranker(), other, { output })).train({ resumeFromCheckpoint: true }),
    ),
    /per_device_train_batch_rows is 26, and 25 in .*; a run can only go on with the same value/,
  )
  assert.match(
    await messageOf(() => trainerOf(ranker(), { per_device_train_batch_rows: 4 })),
    /batches of 4 rows \(per_device_train_batch_rows\) do not hold the longest list, which has 8/,
  )
  for (const wrong of [0, -1, 2.5])
    assert.match(
      await messageOf(() => trainerOf(ranker(), { per_device_train_batch_rows: wrong })),
      /per_device_train_batch_rows/,
    )
})

test('another cap of lists is another run, in a configuration and in a declaration alike', async () => {
  const output = join(folder, 'cap')
  const cut = (longest: number, longer?: string) => ({ columns: ['list'], longest, longer })
  await (await trainerOf(ranker(cut(4, 'cut')), { max_steps: 2 }, { output })).train()
  assert.ok(readdirSync(output).includes('checkpoint-2'))
  for (const other of [cut(5, 'cut'), cut(9), { columns: ['list'] }])
    assert.match(
      await messageOf(async () =>
        (await trainerOf(ranker(other), { max_steps: 4 }, { output })).train({ resumeFromCheckpoint: true }),
      ),
      /lists.*; a run can only go on with the model and the columns it began with/,
    )
  let longest: number | undefined
  class Capped extends Ranker {
    static override readonly architecture = 'Ranker'
    override readonly inputs = {
      ...inputs,
      documents: { kind: 'list', columns: ['session'], ...(longest ? { longest, longer: 'cut' } : {}) },
    } as never
    override loss(batch: Batch): kg.Tensor {
      return kg.reshape(kg.mean(this.rowScores(batch)), [1])
    }
  }
  const n = 12
  const column = (name: string, of: (i: number) => number) => ({
    name,
    data: Array.from({ length: n }, (_, i) => of(i)),
  })
  const own = await parquetBytes([
    { ...column('session', i => i >> 2), kind: 'int64' },
    { ...column('click', i => i % 2), kind: 'int64' },
    { ...column('price', i => i), kind: 'double' },
    { ...column('age', i => -i), kind: 'double' },
  ])
  const at = join(folder, 'declared')
  const run = async (most: number | undefined, resume: boolean) => {
    longest = most
    const model = new Capped().to(gpu, { seed: 3 }) as kg.Model
    const data = await kg.loadDataset(own, { inputs: model.inputs })
    const config = kg.parseTrainerConfig(
      { ...SETTINGS, eval_steps: null, max_steps: resume ? 4 : 2, load_best_model_at_end: false },
      'the test',
    )
    await new kg.Trainer({ model, config, train: data, output: at }).train({ resumeFromCheckpoint: resume })
  }
  await run(3, false)
  for (const other of [2, undefined])
    assert.match(
      await messageOf(() => run(other, true)),
      new RegExp(
        `what is read as 'documents' is session${other ? ', 2 rows at most \\(cut\\)' : ''}, and session, 3 rows at most \\(cut\\) in`,
      ),
    )
  await run(3, true)
})

test.run()
