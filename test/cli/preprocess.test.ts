// From raw files to a trained pair: preprocess, train with its sizes, and the notebook's experiment, at a size of seconds.
// Waits for CI: it joins 200,000 raw rows
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeRawKdd } from '../../bench/raw-kdd.ts'
import { parseFeatureSizes } from '../../src/config/index.ts'
import { writeSyntheticRaw } from '../../src/datasets/index.ts'
import { writeUltrWorld } from '../../src/datasets/ultr/index.ts'
import { interrupted } from '../support/interrupted.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-preprocess-'))
test.after(() => rmSync(folder, { recursive: true }))
const raw = join(folder, 'raw')
const data = join(folder, 'data')
const files = ['features.json', 'test.parquet', 'train.parquet']
const at = (name: string) => join(data, name)

test.before(async () => {
  await writeSyntheticRaw({ folder: raw, rows: 500, seed: 3, words: 60, users: 20 })
  const made = await kernelgrad('preprocess', raw, '--out', data, '--rows', '450', '--json')
  assert.is(made.code, 0, made.err)
  assert.equal(readdirSync(data).sort(), files)
  const { train, test: held, featuresFile, seconds, ...features } = JSON.parse(made.out)
  assert.equal([train, held, featuresFile], [at('train.parquet'), at('test.parquet'), at('features.json')])
  assert.ok(seconds > 0)
  assert.equal(features, JSON.parse(readFileSync(featuresFile, 'utf8')))
  assert.equal(features, parseFeatureSizes(features, featuresFile))
  assert.equal(features.rows, { read: 450, train: 405, test: 45 })
  assert.match(made.err, /^check userid_profile\.txt 100\/100\n(.*\n)*write test\.parquet 100\/100\n$/)
})

test('preprocess tells people its stages, the sizes and what to do next', async () => {
  const out = join(folder, 'people')
  const { code, out: told, err } = await kernelgrad('preprocess', raw, '--out', out)
  assert.equal([code, err], [0, ''])
  assert.match(told, /^check .*\n(.*\n)*join 100\/100\n/)
  assert.match(told, /\nrows read +500\ntraining rows +450\nwith a click +\d+\ntest rows +50\n/)
  assert.match(
    told,
    /\ndone in \d+s; train with:\nnpx kernelgrad train .*--features .*people\/features\.json/,
  )
})

test('preprocess refuses raw files that cannot be', async () => {
  const { code, out, err } = await kernelgrad('preprocess', folder, '--out', join(folder, 'none'))
  assert.equal([code, out], [1, ''])
  assert.match(err, /^error: cannot read .*userid_profile\.txt: no such file or folder\n$/)
  assert.not(existsSync(join(folder, 'none')))
  const memory = await kernelgrad('preprocess', raw, '--out', data, '--memory', '5')
  assert.is(memory.code, 2)
  assert.match(memory.err, /'--memory <MiB>': expected a whole number of at least 128, got '5'/)
})

test('preprocess turns session files into Parquet', async () => {
  const [input, out] = [join(folder, 'sessions'), join(folder, 'ultr')]
  const { annotated } = await writeUltrWorld({
    folder: input,
    sessions: 200,
    queries: 30,
    judged: 6,
    seed: 2,
  })
  const made = await kernelgrad('preprocess', input, '--format', 'ultr', '--out', out, '--json')
  assert.is(made.code, 0, made.err)
  assert.equal(readdirSync(out).sort(), ['annotated.parquet', ...files])
  const { rows, sessions, judged } = JSON.parse(made.out)
  assert.equal(judged, { rows: annotated.length, queries: 6 })
  assert.is(sessions.train + sessions.test, 200)
  assert.is(rows.read, rows.train + rows.test)
  assert.match(made.err, /^read part-00000\.gz 100\/100\nread annotation_data\.txt 100\/100\n$/)
  const people = await kernelgrad('preprocess', input, '--format', 'ultr', '--out', out)
  assert.match(
    people.out,
    /\ntraining sessions +\d+\ndocuments +[\d,]+\n(.*\n)*done in \d+s: .*annotated\.parquet\n$/,
  )
  const wrong = await kernelgrad('preprocess', input, '--format', 'ultr', '--out', out, '--rows', '5')
  assert.is(wrong.code, 2)
  assert.match(wrong.err, /--rows is for --format kdd/)
  const none = await kernelgrad('preprocess', raw, '--format', 'ultr', '--out', out)
  assert.match(none.err, /^error: .*raw has no session files, expected part-\*\.gz\n$/)
})

test('Ctrl-C stops preprocessing, ends with 130 and leaves the older result', async () => {
  const input = join(folder, 'large')
  await writeRawKdd(input, 200_000)
  const before = files.map(name => readFileSync(at(name)))
  const { code, out, err } = await interrupted(['preprocess', input, '--out', data], /^read training/)
  assert.equal([code, err], [130, `stopped; ${data} is as it was\n`], out)
  assert.not.match(out, /write/)
  assert.equal(readdirSync(data).sort(), files)
  assert.equal(
    files.map(name => readFileSync(at(name))),
    before,
  )
})

const CONFIG = {
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    user_id: { dtype: 'categorical', embedding_size: 4 },
  },
  pretrained_model_config: { dim: 8, n_heads: 2, n_layers: 1, hidden_dim: 8, max_position_embeddings: 32 },
  trainer: { max_steps: 2, per_device_train_batch_size: 16 },
}

function train(name: string, config: object, ...more: string[]) {
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify(config))
  const args = [
    '--config',
    path,
    '--train',
    at('train.parquet'),
    '--out',
    join(folder, 'runs', name),
    '--json',
  ]
  return kernelgrad('train', ...args, ...more)
}

test('train takes the sizes from features.json, and refuses to disagree with it', async () => {
  const features = ['--features', at('features.json')]
  const without = await train('without', CONFIG)
  assert.match(without.err, /without\.json: pretrained_model_config: missing key "vocab_size"/)
  const run = await train('filled', CONFIG, ...features)
  assert.is(run.code, 0, run.err)
  const sizes = JSON.parse(readFileSync(at('features.json'), 'utf8'))
  const saved = JSON.parse(readFileSync(join(folder, 'runs/filled/config.json'), 'utf8'))
  assert.is(saved.pretrained_model_config.vocab_size, sizes.vocab_size)
  assert.is(saved.pretrained_model_config.pad_token_id, sizes.pad_token_id)
  assert.is(saved.features_config.user_id.vocab_size, sizes.features_config.user_id.vocab_size)
  const wrong = await train('wrong', { ...CONFIG, num_labels: 3 }, ...features)
  assert.is(wrong.code, 1)
  assert.match(
    wrong.err,
    /wrong\.json: num_labels is 3, but .*features\.json says 2; leave it out to take that\n$/,
  )
  assert.not(existsSync(join(folder, 'runs', 'wrong')))
})

test('experiment trains the pair and prints the comparison', async () => {
  const out = join(folder, 'runs', 'pair')
  const experiment = (...more: string[]) =>
    kernelgrad(
      ...['experiment', '--train', at('train.parquet'), '--eval', at('test.parquet')],
      ...['--features', at('features.json'), '--out', out, '--size', 'demo', ...more],
    )
  const run = await experiment('--max-steps', '2')
  assert.equal([run.code, run.err], [0, ''])
  assert.match(run.out, /^adapter: .*\nTextTabularModel: .*405 rows to train on, 45 to evaluate on\n/)
  assert.match(
    run.out,
    /\nmodel +ROC AUC +PR AUC +log loss\n[- ]+\ntext \+ tabular +0\.\d{3} +0\.\d{3} +0\.\d{3}\ntext only +0\.\d{3} /,
  )
  const results = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'))
  assert.equal(Object.keys(results), ['text_tabular', 'text_only'])
  for (const name of Object.keys(results)) {
    const model = join(out, name)
    const scored = join(folder, `${name}.parquet`)
    const { code, out: told } = await kernelgrad(
      ...['predict', '--model', model, '--data', at('test.parquet'), '--out', scored, '--json'],
    )
    assert.is(code, 0)
    const { metrics } = JSON.parse(told)
    for (const [metric, value] of Object.entries<number>(results[name]))
      assert.ok(Math.abs(metrics[metric] - value) < 1e-6, `${name} ${metric}: ${metrics[metric]}, ${value}`)
    const state = readdirSync(model).find(entry => entry.startsWith('checkpoint-'))
    assert.is(state, 'checkpoint-2', 'stopped where asked')
  }
  const again = await experiment()
  assert.is(again.code, 1)
  assert.match(again.err, /text_tabular already holds .* of an earlier run/)
})

test.run()
