// Evaluating and predicting a file give the figures of training, to the last bit; and reports of several runs.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns, type WriteColumn, writeParquet } from '../../src/data/index.ts'
import { writeSafetensors } from '../../src/data/safetensors-file.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { createModel } from '../../src/models/index.ts'
import { groupedAuc, readRunReport } from '../../src/train/index.ts'
import { type Captured, kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-evaluate-'))
test.after(() => rmSync(folder, { recursive: true }))

type Metrics = Record<string, number>
const run = join(folder, 'run')
/** The test rows as they were written, and again in row groups of 20 with a column of users. */
let whole: string
const parts = join(folder, 'parts.parquet')
const users = Array.from({ length: 70 }, (_, row) => (row % 9 === 8 ? null : `user ${row % 5}`))
let labels: number[]
/** The last evaluation of training. */
let logged: Metrics
let told: Captured

test.before(async () => {
  const data = await writeSyntheticKdd({ folder: join(folder, 'data'), trainRows: 96, testRows: 70, seed: 4 })
  whole = data.test
  labels = [...data.testLabels]
  await rewrite(whole, parts)
  const config = {
    features_config: data.features_config,
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 16,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 16,
      max_position_embeddings: 32,
    },
    trainer: {
      num_train_epochs: 1,
      per_device_train_batch_size: 16,
      // Batches that row groups of 20 cut through.
      per_device_eval_batch_size: 32,
      eval_steps: 1,
      save_steps: null,
      logging_steps: 1,
      load_best_model_at_end: false,
    },
  }
  const path = join(folder, 'config.json')
  writeFileSync(path, JSON.stringify(config))
  const files = ['--train', data.train, '--eval', whole]
  told = await kernelgrad('train', '--config', path, ...files, '--out', run, '--json')
  assert.is(told.code, 0, told.err)
  const entries = lines(told).filter(entry => 'eval_loss' in entry)
  const figures = Object.entries(entries.at(-1)!).filter(([name]) => name.startsWith('eval_'))
  logged = Object.fromEntries(figures.map(([name, value]) => [name.slice(5), value]))
})

const lines = ({ out }: Captured): Metrics[] =>
  out
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

async function rewrite(from: string, to: string): Promise<void> {
  const file = await openParquet(from)
  const values = await readColumns(file, file.columns)
  const columns = file.columns.map((name): WriteColumn => {
    const first = values[name]![0]
    const kind = Array.isArray(first) ? 'list<int64>' : typeof first === 'bigint' ? 'int64' : 'double'
    return { name, kind, data: values[name]! }
  })
  await writeParquet(to, [...columns, { name: 'user', kind: 'string', data: users }], { rowGroupSize: 20 })
}

async function evaluate(data: string, ...more: string[]): Promise<Metrics> {
  const args = ['--model', run, '--data', data, '--batch-size', '32', '--json', ...more]
  const done = await kernelgrad('evaluate', ...args)
  assert.is(done.code, 0, done.err)
  assert.match(done.err, /^adapter: .*\n(row \d+\/70 .*\n)+$/)
  const { metrics, ...rest } = JSON.parse(done.out)
  assert.equal(rest, { model: run, data, rows: 70 })
  return metrics
}

test('train --json prints the log and then the result, a line each', () => {
  const all = lines(told)
  const keys = ['train_loss', 'eval_loss', 'loss', 'model']
  assert.equal(
    all.map(entry => keys.find(key => key in entry)),
    ['loss', 'eval_loss', 'loss', 'eval_loss', 'loss', 'eval_loss', 'train_loss', 'model'],
  )
  for (const [i, entry] of all.slice(0, -2).entries()) assert.is(entry.step, 1 + Math.floor(i / 2))
  assert.equal(all.at(-1)!.metrics, logged)
})

test('evaluate and predict give the figures of training to the last bit, however the file is cut', async () => {
  assert.equal(Object.keys(logged).sort(), [
    'brier',
    'calibration_ratio',
    'expected_calibration_error',
    'log_loss',
    'loss',
    'normalized_entropy',
    'pr_auc',
    'roc_auc',
  ])
  assert.equal(await evaluate(whole), logged)
  assert.equal(await evaluate(parts), logged)
  const rows: number[][] = []
  for (const data of [whole, parts]) {
    const out = join(folder, 'predictions.parquet')
    const args = ['--model', run, '--data', data, '--batch-size', '32', '--out', out, '--json']
    const done = await kernelgrad('predict', ...args)
    assert.is(done.code, 0, done.err)
    assert.equal(JSON.parse(done.out), { out, rows: 70, metrics: logged })
    const { row, label, probability } = await readColumns(out, ['row', 'label', 'probability'])
    assert.equal(
      row,
      Array.from({ length: 70 }, (_, i) => BigInt(i)),
    )
    assert.equal(label!.map(Number), labels)
    rows.push(probability as number[])
  }
  assert.equal(rows[1], rows[0])

  const { gauc, gauc_groups, gauc_rows, ...others } = await evaluate(parts, '--group-by', 'user')
  assert.equal(others, logged)
  assert.equal({ gauc, gauc_groups, gauc_rows }, groupedAuc(labels, rows[0]!, users))
  assert.ok(gauc_groups! > 1 && gauc_rows! <= 63)
  // A feature's column may be the one to group by.
  const { gender } = await readColumns(whole, ['gender'])
  assert.is((await evaluate(whole, '--group-by', 'gender')).gauc, groupedAuc(labels, rows[0]!, gender!).gauc)
})

test('evaluate tells people all figures', async () => {
  const done = await kernelgrad('evaluate', '--model', run, '--data', parts, '--group-by', 'user')
  assert.equal([done.code, done.err], [0, ''])
  assert.match(
    done.out,
    /\nmetric +value\n-+ +-+\nlog_loss +0\.\d{3}\nroc_auc +[\d.]+\npr_auc +[\d.]+\nnormalized_entropy +\d\.\d{3}\n[\s\S]*\ngauc_groups +\d\n/,
  )
  assert.match(done.out, /\n70 rows of .*parts\.parquet\n$/)
})

async function refuses(message: RegExp, data: string, ...more: string[]): Promise<void> {
  const done = await kernelgrad('evaluate', '--model', run, '--data', data, ...more)
  assert.equal([done.code, done.out], [1, ''])
  assert.match(done.err, message)
}

test('evaluate names what is wrong with its data', async () => {
  await refuses(/^error: .* has no column nobody; its columns are .*\n$/, whole, '--group-by', 'nobody')
  const list = ['--group-by', 'tokenized_title']
  await refuses(
    /^error: .*: column tokenized_title is a list.*, a number or text per row is exp/,
    whole,
    ...list,
  )
  await refuses(/^error: .*no_rows\.parquet has no rows\n$/, 'test/golden/parquet/no_rows.parquet')
})

test('AUC within groups is of two classes', async () => {
  const three = join(folder, 'three')
  mkdirSync(three)
  const config = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8'))
  const weights = [...createModel({ ...config, num_labels: 3 }).namedParameters()]
  const tensors = weights.map(([name, { shape }]) => {
    const bytes = new Uint8Array(4 * shape.reduce((n, d) => n * d, 1))
    return { name, dtype: 'F32' as const, shape, chunks: [bytes] }
  })
  await writeSafetensors(join(three, 'model.safetensors'), tensors)
  writeFileSync(join(three, 'config.json'), JSON.stringify({ ...config, num_labels: 3 }))
  const args = ['--model', three, '--data', parts, '--json']
  const refused = await kernelgrad('evaluate', ...args, '--group-by', 'user')
  assert.is(refused.code, 2)
  assert.match(
    refused.err,
    /^error: --group-by needs a model of 2 classes, which the one in .*three is not\n$/,
  )
  const { metrics } = JSON.parse((await kernelgrad('evaluate', ...args)).out)
  assert.ok(Math.abs(metrics.loss - Math.log(3)) < 1e-6)
  assert.equal(Object.keys(metrics), ['loss', 'accuracy'])
})

test('report: one page of several runs', async () => {
  const second = join(folder, 'second')
  mkdirSync(second)
  const report = await readRunReport(run)
  writeFileSync(join(second, 'report.json'), JSON.stringify({ ...report, name: 'second <run>' }))
  const out = join(folder, 'pages', 'both.html')
  const done = await kernelgrad('report', run, join(second, 'report.json'), '--out', out)
  assert.equal(done, { code: 0, err: '', out: `2 runs in ${out}\n` })
  const page = readFileSync(out, 'utf8')
  assert.match(page, /<h1>2 training runs compared<\/h1>/)
  assert.match(page, /second &#60;run&#62;/)
  assert.match(readFileSync(join(run, 'report.html'), 'utf8'), /<h1>Training report: run<\/h1>/)

  const missing = await kernelgrad('report', run, folder, '--out', out)
  assert.equal([missing.code, missing.out], [1, ''])
  assert.match(missing.err, /^error: cannot read .*report\.json: no such file or folder\n$/)
  assert.is(readFileSync(out, 'utf8'), page, 'the older page is as it was')
  const blocked = await kernelgrad('report', run, '--out', join(out, 'x.html'))
  assert.match(blocked.err, /^error: cannot write .*x\.html: /)
})

test.run()
