// A click model on texts, from an encoder that transformers saved: train, then predict from what was left.
// Waits for CI: it trains five small models
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeParquet } from '../../src/data/index.ts'
import { generator } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-texts-'))
test.after(() => rmSync(folder, { recursive: true }))
const WORDS = 'cheap running shoes near me best headphones café piano 中文 under 100 flat feet'.split(' ')
const long = Array.from({ length: 90 }, () => 'shoes').join(' ')

/** Rows of two texts and a number; one row's texts are empty, one's are too long. */
async function data(name: string, rows: number, seed: number): Promise<string> {
  const next = generator(seed)
  const words = (n: number) =>
    Array.from({ length: n }, () => WORDS[Math.floor(next() * WORDS.length)]).join(' ')
  const texts = (special: string) =>
    Array.from({ length: rows }, (_, i) => (i === 3 ? '' : i === 5 ? special : words(1 + (i % 7))))
  const path = join(folder, `${name}.parquet`)
  const columns = [
    { name: 'title', kind: 'string' as const, data: texts(long) },
    { name: 'query', kind: 'string' as const, data: texts('me') },
    { name: 'depth', kind: 'double' as const, data: Float64Array.from({ length: rows }, next) },
    {
      name: 'label',
      kind: 'int64' as const,
      data: Array.from({ length: rows }, () => Math.floor(next() * 2)),
    },
  ]
  await writeParquet(path, columns, { rowGroupSize: 20 })
  return path
}

for (const [kind, architecture] of [
  ['bert', 'TextTabularModel'],
  ['distilbert', 'DistilBertForSequenceClassification'],
] as const) {
  test(`${architecture} from a ${kind} folder: the tokenizer goes with the model, predictions are those of training`, async () => {
    const [train, evaluation] = [await data(`${kind}-train`, 64, 1), await data(`${kind}-test`, 45, 2)]
    const source = `test/golden/encoders/${kind}`
    const [config, out] = [join(folder, `${kind}.json`), join(folder, kind)]
    writeFileSync(
      config,
      JSON.stringify({
        architecture,
        features_config: {
          title: { dtype: 'text' },
          query: { dtype: 'text' },
          depth: { dtype: 'numerical' },
        },
        use_pretrained: true,
        model_name: source,
        trainer: {
          num_train_epochs: 1,
          per_device_train_batch_size: 16,
          eval_steps: 1,
          save_steps: 1,
          freeze: ['*.embeddings.*', '*.layer.0.*'],
          no_decay: ['*.bias', '*LayerNorm*'],
          layer_decay: 0.8,
        },
      }),
    )
    const run = await kernelgrad(
      'train',
      '--config',
      config,
      '--train',
      train,
      '--eval',
      evaluation,
      '--out',
      out,
      '--json',
    )
    assert.is(run.code, 0, run.err)
    const told = JSON.parse(run.out.trimEnd().split('\n').at(-1)!)
    assert.is(told.rows, 64)
    const best = join(out, 'checkpoint-2')
    for (const place of [out, best]) {
      const copy = JSON.parse(readFileSync(join(place, 'tokenizer.json'), 'utf8'))
      assert.equal(copy, JSON.parse(readFileSync(join(source, 'tokenizer.json'), 'utf8')))
      assert.not(existsSync(join(place, 'tokenizer_config.json')))
    }
    const [start, final] = [
      readSafetensors(join(source, 'model.safetensors')),
      readSafetensors(join(out, 'model.safetensors')),
    ]
    const prefix = kind === 'bert' ? 'bert.' : 'distilbert.'
    for (const [name, { data }] of start) {
      const frozen = /embeddings\.|layer\.0\.|pooler/.test(name)
      const same = data.every((value, i) => value === final.get(prefix + name)!.data[i])
      assert.is(same, frozen, name)
    }
    // The saved folder is enough: the configuration may name a folder that is gone.
    const saved = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
    writeFileSync(join(out, 'config.json'), JSON.stringify({ ...saved, model_name: 'gone' }))
    const scores = join(folder, `${kind}-scores.parquet`)
    const predicted = await kernelgrad(
      'predict',
      '--model',
      out,
      '--data',
      evaluation,
      '--out',
      scores,
      '--json',
    )
    assert.is(predicted.code, 0, predicted.err)
    const { metrics } = JSON.parse(predicted.out)
    for (const [name, value] of Object.entries<number>(told.metrics))
      assert.ok(Math.abs(metrics[name] - value) < 1e-6, `${name}: ${metrics[name]}, trained ${value}`)
  })
}

test('predicting without the tokenizer is refused, naming the file', async () => {
  const out = join(folder, 'bert')
  rmSync(join(out, 'tokenizer.json'))
  const run = await kernelgrad(
    'predict',
    '--model',
    out,
    '--data',
    join(folder, 'bert-test.parquet'),
    '--out',
    join(folder, 'x.parquet'),
  )
  assert.is(run.code, 1)
  assert.match(run.err, /^error: cannot read .*bert\/tokenizer\.json: no such file or folder\n$/)
})

test.run()
