// Models of two sides from the command line: trained, evaluated, predicted with, and started from saved encoders.
// Waits for CI: it trains four small models
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns, writeParquet } from '../../src/data/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { generator } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-two-sided-'))
test.after(() => rmSync(folder, { recursive: true }))
const data = await writeSyntheticKdd({
  folder,
  trainRows: 64,
  testRows: 30,
  vocabSize: 60,
  users: 40,
  seed: 3,
})

const trainer = {
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1,
  max_steps: 2,
  eval_steps: null,
  save_steps: null,
  load_best_model_at_end: false,
  seed: 4,
}

async function train(name: string, config: object, files = { train: data.train, test: data.test }) {
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify(config))
  const out = join(folder, name)
  const args = ['--config', path, '--train', files.train, '--eval', files.test, '--out', out]
  const told = await kernelgrad('train', ...args, '--json')
  assert.is(told.code, 0, told.err)
  return { out, err: told.err, told: JSON.parse(told.out.trimEnd().split('\n').at(-1)!) }
}

/** Evaluation of a folder says what training said; predictions are probabilities, one a row. */
async function judge(out: string, test: string, rows: number, metrics: Record<string, number>) {
  const evaluated = await kernelgrad('evaluate', '--model', out, '--data', test, '--json')
  assert.is(evaluated.code, 0, evaluated.err)
  assert.equal(JSON.parse(evaluated.out).metrics, metrics)
  const path = join(out, 'scores.parquet')
  const predicted = await kernelgrad('predict', '--model', out, '--data', test, '--out', path)
  assert.is(predicted.code, 0, predicted.err)
  const { probability } = await readColumns(await openParquet(path), ['probability'])
  const values = Array.from(probability as ArrayLike<number>)
  assert.is(values.length, rows)
  assert.ok(values.every(p => p > 0 && p < 1) && new Set(values).size > rows / 2)
}

test('a student trains, then a stage with frozen towers goes on: they keep the bits of the first stage', async () => {
  const config = {
    architecture: 'LateFusionModel',
    features_config: data.features_config,
    sides: { query: ['tokenized_query'], ad: ['tokenized_title'] },
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 12,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 16,
      max_position_embeddings: 32,
    },
  }
  const first = await train('first', { ...config, trainer: { ...trainer, stages: [{}] } })
  const daily = await train('daily', {
    ...config,
    trainer: { ...trainer, stages: [{}, { freeze: ['*bert.*'] }] },
  })
  const [before, after] = [first, daily].map(({ out }) => readSafetensors(join(out, 'model.safetensors')))
  const [towers, rest] = [0, 1].map(part =>
    [...after!.keys()].filter(name => name.startsWith('bert.') === (part === 0)),
  ) as [string[], string[]]
  assert.ok(towers.length > 10 && rest.length > 5)
  for (const name of towers) assert.equal(after!.get(name)!.data, before!.get(name)!.data, name)
  for (const name of rest) assert.not.equal(after!.get(name)!.data, before!.get(name)!.data, name)
  assert.is(daily.told.steps, 4)
  await judge(daily.out, data.test, 30, daily.told.metrics)
})

/** Rows of strings, some empty. */
async function texts(name: string, rows: number, seed: number): Promise<string> {
  const next = generator(seed)
  const words = 'cheap running shoes near me best headphones piano under 100 flat feet'.split(' ')
  const text = (i: number) =>
    Array.from({ length: i % 6 }, () => words[Math.floor(next() * words.length)]!).join(' ')
  const strings = (shift: number) => Array.from({ length: rows }, (_, i) => text(i + shift))
  const labels = Array.from({ length: rows }, () => Math.floor(next() * 2))
  const path = join(folder, `${name}.parquet`)
  await writeParquet(path, [
    { name: 'search', kind: 'string', data: strings(1) },
    { name: 'title', kind: 'string', data: strings(2) },
    { name: 'body', kind: 'string', data: strings(3) },
    { name: 'label', kind: 'int64', data: labels },
  ])
  return path
}

test('two towers start from one folder, learn at rates by layer, and a folder of two towers gives each its own', async () => {
  const files = { train: await texts('texts', 40, 1), test: await texts('more-texts', 20, 2) }
  const source = 'test/golden/encoders/distilbert'
  const config = {
    architecture: 'TwinModel',
    features_config: { search: { dtype: 'text' }, title: { dtype: 'text' }, body: { dtype: 'text' } },
    sides: { query: ['search'], ad: ['title', 'body'] },
    tied: false,
    pooling: 'first_token',
    downscale: 6,
    use_pretrained: true,
    model_name: source,
  }
  const frozen = { ...trainer, freeze: ['*.embeddings.*', '*.layer.0.*'], layer_decay: 0.8 }
  const first = await train('twin', { ...config, trainer: frozen }, files)
  const [start, final] = [
    readSafetensors(join(source, 'model.safetensors')),
    readSafetensors(join(first.out, 'model.safetensors')),
  ]
  for (const [name, { data }] of start)
    for (const role of ['query_bert', 'ad_bert']) {
      const same = data.every((value, i) => value === final.get(`${role}.${name}`)!.data[i])
      assert.is(same, /embeddings\.|layer\.0\./.test(name), `${role}.${name}`)
    }
  await judge(first.out, files.test, 20, first.told.metrics)

  const rest = { crossing: 'residual', downscale: null, pooling: 'weighted', model_name: first.out }
  const second = await train(
    'again',
    { ...config, ...rest, trainer: { ...trainer, freeze: ['*bert.*'] } },
    files,
  )
  const again = readSafetensors(join(second.out, 'model.safetensors'))
  let differ = 0
  for (const [name, { data }] of final) {
    if (!/^(query|ad)_bert\./.test(name)) continue
    assert.equal(again.get(name)!.data, data, name)
    if (name.startsWith('query_') && String(data) !== String(final.get(name.replace('query_', 'ad_'))!.data))
      differ++
  }
  assert.ok(differ > 10, 'the towers had grown apart')
  writeFileSync(join(folder, 'tied.json'), JSON.stringify({ ...config, ...rest, tied: true, trainer }))
  const tied = await kernelgrad(
    'train',
    '--config',
    join(folder, 'tied.json'),
    '--train',
    files.train,
    '--out',
    join(folder, 'tied'),
  )
  assert.is(tied.code, 1)
  assert.match(tied.err, /holds no encoder: .* after 'bert\.'.*; it has query_bert\..* and ad_bert\./)
})

test('sides that cannot be are refused before any file is read', async () => {
  const config = JSON.parse(readFileSync(join(folder, 'first.json'), 'utf8'))
  const broken = join(folder, 'broken.parquet')
  writeFileSync(broken, 'no Parquet file')
  for (const [sides, said] of [
    [
      { query: ['tokenized_query'], ad: ['tokenized_query'] },
      /sides\.ad: column 'tokenized_query' is on side 'query' too/,
    ],
    [{ query: ['tokenized_query'], ad: [] }, /sides\.ad: the side has no text/],
    [{ query: ['tokenized_query'], ad: ['depth'] }, /sides\.ad: feature 'depth' has dtype 'numerical'/],
  ] as const) {
    writeFileSync(join(folder, 'bad.json'), JSON.stringify({ ...config, sides }))
    const paths = ['--config', join(folder, 'bad.json'), '--train', broken]
    const { code, err } = await kernelgrad('train', ...paths, '--out', join(folder, 'bad'))
    assert.is(code, 1)
    assert.match(err, said)
  }
})

test.run()
