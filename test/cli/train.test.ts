// Train, predict and demo from end to end, at a size that takes seconds.
// Waits for CI: it trains twenty small models

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../src/config/index.ts'
import { openParquet, readColumns, type WriteColumn, writeParquet } from '../../src/data/index.ts'
import { writeSafetensors } from '../../src/data/safetensors-file.ts'
import { type SyntheticData, writeSyntheticKdd } from '../../src/datasets/index.ts'
import { createModel } from '../../src/models/index.ts'
import { readRunReport } from '../../src/train/index.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-train-'))
test.after(() => rmSync(folder, { recursive: true }))

const TRAINER = {
  num_train_epochs: 1,
  per_device_train_batch_size: 16,
  // More evaluations than saves: the best evaluated step need not be one that was saved.
  eval_steps: 1,
  save_steps: 3,
  seed: 3,
}
let data: SyntheticData
let model: ModelConfig

test.before(async () => {
  data = await writeSyntheticKdd({ folder: join(folder, 'data'), trainRows: 160, testRows: 70, seed: 1 })
  model = {
    features_config: data.features_config,
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU', dropout_p: 0.1 }],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 16,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 16,
      max_position_embeddings: 32,
    },
  }
})

type Metrics = Record<string, number>

async function train(
  name: string,
  ...more: string[]
): Promise<{ out: string; told: Record<string, unknown>; log: Metrics[] }> {
  const config = join(folder, `${name}.json`)
  writeFileSync(config, JSON.stringify({ ...model, trainer: TRAINER }))
  const out = join(folder, 'runs', name)
  const run = await kernelgrad(
    'train',
    '--config',
    config,
    '--train',
    data.train,
    '--out',
    out,
    '--json',
    ...more,
  )
  assert.is(run.code, 0, run.err)
  assert.match(run.err, /^adapter: .*\nTextTabularModel: [\d,]+ parameters, \d+ rows to train on/)
  // A line of JSON per entry of the log, and then the result.
  const lines = run.out
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  return { out, told: lines.pop(), log: lines }
}

async function predict(
  path: string,
  input: string,
  ...more: string[]
): Promise<{ out: string; metrics: Metrics }> {
  const out = join(folder, 'predictions', `${Math.random()}.parquet`)
  const run = await kernelgrad('predict', '--model', path, '--data', input, '--out', out, '--json', ...more)
  assert.is(run.code, 0, run.err)
  return { out, metrics: JSON.parse(run.out).metrics }
}

function close(got: Metrics, want: Metrics, bound: number): void {
  assert.equal(Object.keys(got).sort(), Object.keys(want).sort())
  for (const [name, value] of Object.entries(want))
    assert.ok(Math.abs(got[name]! - value) <= bound, `${name}: got ${got[name]}, expected ${value}`)
}

/** The test file's columns but one, in row groups of 20. */
async function without(column: string | undefined, path: string): Promise<string> {
  const file = await openParquet(data.test)
  const names = file.columns.filter(name => name !== column)
  const values = await readColumns(file, names)
  const kind = (name: string): WriteColumn['kind'] => {
    if (name.startsWith('tokenized')) return 'list<int64>'
    return typeof values[name]![0] === 'bigint' ? 'int64' : 'double'
  }
  const columns = names.map(name => ({ name, kind: kind(name), data: values[name]! }))
  await writeParquet(path, columns, { rowGroupSize: 20 })
  return path
}

test('train writes checkpoints and a model, and predict gives the same metrics', async () => {
  const { out, told, log } = await train('full', '--eval', data.test)
  assert.equal(readdirSync(out).sort(), [
    'checkpoint-3',
    'checkpoint-5',
    'config.json',
    'model.safetensors',
    'report.html',
    'report.json',
    'training_args.json',
  ])
  assert.is(told.steps, 5)
  assert.is(told.rows, 160)
  assert.is(told.model, out)
  assert.is(told.parameters, createModel(model).numParameters())
  const args = JSON.parse(readFileSync(join(out, 'training_args.json'), 'utf8'))
  assert.equal([args.seed, args.weight_decay], [3, 0.01])

  const metrics = told.metrics as Metrics
  assert.ok(metrics.roc_auc! > 0 && metrics.roc_auc! < 1)
  const whole = await predict(out, data.test)
  assert.equal(whole.metrics, metrics, 'to the last bit')

  // Each checkpoint gives what was logged when it was saved; the best of those saved is the model.
  const state = JSON.parse(readFileSync(join(out, 'checkpoint-5', 'trainer_state.json'), 'utf8'))
  assert.equal(state.kernel_choices, {}, 'the built-in forms')
  for (const step of [3, 5]) {
    const { metrics: again } = await predict(join(out, `checkpoint-${step}`), data.test)
    const entry = state.log_history.find((e: Metrics) => e.step === step && 'eval_loss' in e)
    const logged = Object.keys(again).map(name => [name, entry[`eval_${name}`]])
    assert.equal(again, Object.fromEntries(logged), 'to the last bit')
    if (state.best_model_checkpoint.endsWith(`-${step}`)) assert.equal(again, metrics)
  }
  // The last entry sums the run up, after the last save.
  assert.equal(log.slice(0, -1), state.log_history)
  assert.ok('train_loss' in log.at(-1)!)

  const report = await readRunReport(out)
  const step = Number(state.best_model_checkpoint.split('-').at(-1))
  assert.equal([report.name, report.steps, report.step_kept], ['full', 5, step])
  assert.equal([report.rows, report.metrics], [{ train: 160, evaluation: 70 }, metrics])
  assert.equal(report.log_history, log)
  assert.is((report.config.trainer as Metrics).seed, 3)
  assert.match(report.adapter, /^adapter: /)
  const { clicks, others } = report.curves!.histogram
  assert.is(
    [...clicks, ...others].reduce((a, b) => a + b),
    70,
  )
  for (const part of ['data', 'record', 'wait', 'evaluate', 'save'])
    assert.ok(report.seconds.parts[part]! > 0, part)
  const partSeconds = Object.values(report.seconds.parts).reduce((sum, part) => sum + part, 0)
  assert.ok(partSeconds <= report.seconds.total)

  const file = await openParquet(whole.out)
  assert.equal(file.columns, ['row', 'label', 'probability'])
  const rows = await readColumns(file, file.columns)
  assert.equal(
    rows.row,
    Array.from({ length: 70 }, (_, row) => BigInt(row)),
  )
  assert.equal(rows.label!.map(Number), [...data.testLabels])
  assert.ok(new Set(rows.probability).size > 60)

  // The same rows in small groups and batches, and without labels.
  const unlabelled = await without('label', join(folder, 'unlabelled.parquet'))
  const parts = await predict(out, unlabelled, '--batch-size', '7')
  assert.is(parts.metrics, null)
  const second = await openParquet(parts.out)
  assert.equal([second.columns, second.groups.length], [['row', 'probability'], 4])
  const { probability } = await readColumns(second, ['probability'])
  for (const [i, p] of probability!.entries())
    assert.ok(Math.abs((p as number) - (rows.probability![i] as number)) < 1e-6, `row ${i}`)
})

test('several training files, and no evaluation', async () => {
  const { out, told } = await train('plain', '--train', data.test)
  assert.equal([told.rows, told.metrics], [230, null])
  assert.ok(readdirSync(out).includes('model.safetensors'))
  const again = await kernelgrad(
    'train',
    '--config',
    join(folder, 'plain.json'),
    '--train',
    data.train,
    '--out',
    out,
  )
  assert.is(again.code, 1)
  assert.match(again.err, /already holds (checkpoint-\d|model\.safetensors) of an earlier run/)
})

test('train and predict tell people what they need', async () => {
  const config = join(folder, 'people.json')
  writeFileSync(config, JSON.stringify({ ...model, trainer: { ...TRAINER, max_steps: 1 } }))
  const out = join(folder, 'runs', 'people')
  const files = ['--train', data.train, '--eval', data.test]
  const run = await kernelgrad('train', '--config', config, ...files, '--out', out)
  assert.equal([run.code, run.err], [0, ''])
  assert.match(
    run.out,
    /^adapter: .*\nTextTabularModel: .* 160 rows to train on, 70 to evaluate on\n(.*\n)*step 1\/1 /,
  )
  assert.match(run.out, /\nmetric +value\n-+ +-+\nlog_loss +0\.\d{3}\nroc_auc +0\.\d{3}\npr_auc +0\.\d{3}\n/)
  assert.match(run.out, /\n1 steps in \d+s; the model is in .*people, the report in .*people.report\.html\n$/)
})

test('more than two classes have a probability each', async () => {
  const path = join(folder, 'three')
  const config = { ...model, num_labels: 3 }
  const weights = [...createModel(config).namedParameters()].map(([name, { shape }]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    chunks: [new Uint8Array(4 * shape.reduce((n, d) => n * d, 1))],
  }))
  mkdirSync(path)
  await writeSafetensors(join(path, 'model.safetensors'), weights)
  writeFileSync(join(path, 'config.json'), JSON.stringify(config))
  const { out, metrics } = await predict(path, data.test)
  const rows = await readColumns(out, ['probability_0', 'probability_1', 'probability_2'])
  for (const values of Object.values(rows)) for (const p of values) assert.is(p, Math.fround(1 / 3))
  // Equal scores: the first class is taken.
  const first = data.testLabels.filter(label => label === 0).length / 70
  close(metrics, { loss: Math.log(3), accuracy: first }, 1e-6)
})

test('the demo ends with its figures, and runs again in the same folder', async () => {
  const out = join(folder, 'demo')
  const run = await kernelgrad('demo', '--rows', '64', '--out', out, '--json')
  assert.is(run.code, 0, run.err)
  assert.match(run.out, /^[^\n]+\n$/)
  const told = JSON.parse(run.out)
  assert.equal(Object.keys(told), ['text_tabular', 'text_only', 'best_possible'])
  for (const scores of Object.values<Metrics>(told)) {
    assert.equal(Object.keys(scores), ['roc_auc', 'pr_auc', 'log_loss'])
    for (const value of Object.values(scores)) assert.ok(value > 0 && value < 5, String(value))
  }
  assert.ok(told.best_possible.roc_auc > 0.7)
  writeFileSync(join(out, 'mine.txt'), 'as it was')
  const again = await kernelgrad('demo', '--rows', '64', '--out', out)
  assert.is(again.code, 0, again.err)
  assert.match(
    again.out,
    /\nmodel +ROC AUC +PR AUC +log loss\n[- ]+\ntext \+ tabular .*\ntext only .*\nbest possible /,
  )
  assert.is(readFileSync(join(out, 'mine.txt'), 'utf8'), 'as it was')
  const next = /\nnpx kernelgrad (predict .*)\n$/.exec(again.out)![1]!
  assert.is((await kernelgrad(...next.split(' '))).code, 0)
})

test.run()
