// Whatever is wrong with what a command is given: one sentence on stderr, the right exit code, and nothing that was
// there before is touched.

import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../src/config/index.ts'
import { type TensorStream, writeSafetensors } from '../../src/data/safetensors-file.ts'
import { createModel } from '../../src/models/index.ts'
import { type Captured, kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-bad-'))
test.after(() => rmSync(folder, { recursive: true }))

const parquet = (name: string) => `test/golden/parquet/${name}.parquet`
const GOOD = parquet('codec_snappy')

const model = (): ModelConfig => ({
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: 4, embedding_size: 2 },
  },
  pretrained_model_config: { vocab_size: 148_598, dim: 4, n_heads: 2, n_layers: 1, hidden_dim: 4 },
})

let files = 0
function configFile(config: object | string): string {
  const path = join(folder, `config-${files++}.json`)
  writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config))
  return path
}

/** A folder with one file in it, and a check that this file is all there is, as it was. */
function occupied(name = 'notes.txt'): { path: string; check(): void } {
  const path = join(folder, `out-${files++}`)
  mkdirSync(join(path, name, '..'), { recursive: true })
  writeFileSync(join(path, name), 'as it was')
  return {
    path,
    check() {
      assert.is(readFileSync(join(path, name), 'utf8'), 'as it was')
      const all = readdirSync(path, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
      assert.is(all.length, 1, `${path} holds more than before: ${all.map(entry => entry.name)}`)
    },
  }
}

/** Exit code, and one line of stderr that starts with 'error: ' and says `what`; stdout is empty. */
function refused({ code, out, err }: Captured, what: RegExp, exit = 1): void {
  assert.match(err, /^error: [^\n]+\n$/)
  assert.match(err, what)
  assert.equal([code, out], [exit, ''])
}

interface TrainCase {
  config?: object | string
  train?: string
  evaluation?: string
  says: RegExp
}

async function trainRefuses({ config = model(), train = GOOD, evaluation, says }: TrainCase): Promise<void> {
  const out = occupied()
  const path = configFile(config)
  const more = evaluation ? ['--eval', evaluation] : []
  refused(await kernelgrad('train', '--config', path, '--train', train, ...more, '--out', out.path), says)
  out.check()
}

const configs: Record<string, TrainCase> = {
  'broken JSON': { config: '{"num_labels": 2,', says: /config-\d+\.json is not valid JSON: / },
  'an unknown key': {
    config: { ...model(), num_label: 2 },
    says: /json: unknown key "num_label"; allowed keys: /,
  },
  'an unknown trainer key': {
    config: { ...model(), trainer: { lr: 1 } },
    says: /json: trainer: unknown key "lr"; allowed keys: .*learning_rate/,
  },
  'an unknown activation': {
    config: { ...model(), mlp_config: [{ hidden_size: 4, activation_function: 'Swish' }] },
    says: /mlp_config\[0\]\.activation_function: expected one of 'ReLU', 'GELU', got "Swish"/,
  },
  'pretrained weights of no folder': {
    config: { ...model(), use_pretrained: true },
    says: /use_pretrained is true, expected model_name to name a folder/,
  },
  'pretrained weights that are not there': {
    config: { ...model(), use_pretrained: true, model_name: 'distilbert-base-uncased' },
    says: /there is no folder distilbert-base-uncased; save the model there/,
  },
  'pretrained weights of another size': {
    config: {
      ...model(),
      use_pretrained: true,
      model_name: 'test/golden/encoders/bert',
      pretrained_model_config: { model_type: 'bert', vocab_size: 148_598, num_hidden_layers: 2 },
    },
    says: /does not fit BertModel: .*layer\.2\..* is no part of it.*; and \d+ more/,
  },
  'text without a tokenizer': {
    config: { ...model(), features_config: { title: { dtype: 'text' } } },
    says: /feature 'title' has dtype 'text', expected model_name to name a folder with tokenizer\.json/,
  },
}
for (const [name, bad] of Object.entries(configs)) test(`config: ${name}`, () => trainRefuses(bad))

const textFile = join(folder, 'text.parquet')
writeFileSync(textFile, 'click,depth\n1,0.5\n'.repeat(20))
const data: Record<string, TrainCase> = {
  'missing file': { train: join(folder, 'none.parquet'), says: /none\.parquet: no such file or folder/ },
  'missing evaluation file': {
    evaluation: join(folder, 'none.parquet'),
    says: /none\.parquet: no such file or folder/,
  },
  'a text file': {
    train: textFile,
    says: /text\.parquet is not a Parquet file: it does not start with PAR1/,
  },
  'cut short': {
    train: parquet('bad_truncated'),
    says: /bad_truncated\.parquet is not a whole Parquet file/,
  },
  'missing column': {
    config: { ...model(), features_config: { tokenized_query: { dtype: 'token_id' } } },
    says: /codec_snappy\.parquet has no column tokenized_query; its columns are .*tokenized_title/,
  },
  'text for a number': {
    train: parquet('bad_text_depth'),
    says: /column depth is .*text.*, a number is expected/,
  },
  'null in a list': { train: parquet('bad_null_in_list'), says: /column tokenized_title, row 9: .*null/ },
  'negative id': {
    train: parquet('bad_negative_id'),
    says: /column tokenized_title, row 5: value -1, expected 0 to 148597/,
  },
  'id past 2^53': {
    train: parquet('bad_huge_id'),
    says: /column tokenized_title, row 6: value 9007199254740993/,
  },
  'id past its table': {
    train: parquet('bad_category_out_of_range'),
    says: /column gender, row 200: value 4, expected 0 to 3/,
  },
  'bad evaluation file': {
    evaluation: parquet('bad_category_out_of_range'),
    says: /column gender, row 200: value 4, expected 0 to 3/,
  },
  'label outside the classes': {
    train: parquet('bad_label_out_of_range'),
    says: /column label, row 250: value 2, expected 0 to 1/,
  },
  'no rows': { train: parquet('no_rows'), says: /no_rows\.parquet has no rows/ },
  'text too long': {
    config: {
      ...model(),
      pretrained_model_config: { ...model().pretrained_model_config, max_position_embeddings: 7 },
    },
    says: /codec_snappy\.parquet: row \d+ has a text of 8 tokens, expected at most 7 \(max_position_embeddings\)/,
  },
}
for (const [name, bad] of Object.entries(data)) test(`data: ${name}`, () => trainRefuses(bad))

test('output: a path below a file', async () => {
  const out = occupied('file')
  const below = join(out.path, 'file', 'run')
  refused(
    await kernelgrad('train', '--config', configFile(model()), '--train', GOOD, '--out', below),
    /cannot write into .*run: part of the path is a file, not a folder/,
  )
  refused(
    await kernelgrad(
      'train',
      '--config',
      configFile(model()),
      '--train',
      GOOD,
      '--out',
      join(out.path, 'file'),
    ),
    /cannot write into .*file: it is a file, not a folder/,
  )
  out.check()
})

test('output: a folder with a model of an earlier run', async () => {
  for (const old of ['checkpoint-5/model.safetensors', 'model.safetensors']) {
    const out = occupied(old)
    refused(
      await kernelgrad('train', '--config', configFile(model()), '--train', GOOD, '--out', out.path),
      /already holds (checkpoint-5|model\.safetensors) of an earlier run; name a new folder/,
    )
    out.check()
  }
})

/** A model folder with zeros for weights, changed by `change`. */
async function modelFolder(
  change: (tensors: TensorStream[]) => TensorStream[] = tensors => tensors,
): Promise<string> {
  const path = join(folder, `model-${files++}`)
  mkdirSync(path)
  writeFileSync(join(path, 'config.json'), JSON.stringify(model()))
  const tensors = [...createModel(model()).namedParameters()].map(([name, { shape }]) => tensor(name, shape))
  await writeSafetensors(join(path, 'model.safetensors'), change(tensors))
  return path
}
const tensor = (name: string, shape: readonly number[]): TensorStream => ({
  name,
  dtype: 'F32',
  shape,
  chunks: [new Uint8Array(4 * shape.reduce((n, d) => n * d, 1))],
})

/** Predicts into a folder that holds an older result. */
async function predictRefuses(path: string, says: RegExp, input = GOOD, ...more: string[]): Promise<void> {
  const out = occupied('y.parquet')
  const to = join(out.path, 'y.parquet')
  refused(await kernelgrad('predict', '--model', path, '--data', input, '--out', to, ...more), says)
  out.check()
}

const weights: Record<string, [(tensors: TensorStream[]) => TensorStream[], RegExp]> = {
  'a missing tensor': [
    tensors => tensors.filter(({ name }) => name !== 'head.bias'),
    /model\.safetensors: tensor 'head\.bias' is missing, expected with shape \[2\]/,
  ],
  'an extra tensor': [
    tensors => [...tensors, tensor('head.extra', [3])],
    /model\.safetensors: tensor 'head\.extra' is not part of the model/,
  ],
  'a misshapen tensor': [
    tensors => tensors.map(old => (old.name === 'head.bias' ? tensor('head.bias', [3]) : old)),
    /model\.safetensors: tensor 'head\.bias' has shape \[3\], expected \[2\]/,
  ],
}
for (const [name, [change, says]] of Object.entries(weights))
  test(`weights: ${name}`, async () => predictRefuses(await modelFolder(change), says))

test('weights: cut short, or not there', async () => {
  const path = await modelFolder()
  truncateSync(join(path, 'model.safetensors'), 5000)
  await predictRefuses(path, /model\.safetensors: tensor '.*' ends at byte .* \(is the file cut short\?\)/)
  rmSync(join(path, 'model.safetensors'))
  await predictRefuses(path, /cannot read .*model\.safetensors: no such file or folder/)
  await predictRefuses(join(folder, 'none'), /cannot read .*config\.json: no such file or folder/)
})

test('predict: data without rows, an output that is the input or a folder', async () => {
  const path = await modelFolder()
  await predictRefuses(path, /no_rows\.parquet has no rows/, parquet('no_rows'))
  const before = readFileSync(GOOD)
  const predict = (out: string) => kernelgrad('predict', '--model', path, '--data', GOOD, '--out', out)
  refused(await predict(GOOD), /--out .* is the file that --data reads; name another/, 2)
  assert.equal(readFileSync(GOOD), before)
  refused(await predict(path), /cannot write .*model-\d+: it is a folder/)
})

test('predict: a bad row in the middle leaves the older result', async () => {
  const path = await modelFolder()
  const out = occupied('y.parquet')
  const args = ['--data', parquet('bad_label_out_of_range'), '--out', join(out.path, 'y.parquet')]
  const { code, err } = await kernelgrad('predict', '--model', path, ...args)
  assert.is(
    err,
    `error: ${parquet('bad_label_out_of_range')}: column label, row 250: value 2, expected 0 to 1\n`,
  )
  assert.is(code, 1)
  out.check()
})

test('no adapter of the kind asked for', async () => {
  const path = await modelFolder()
  const out = occupied('y.parquet')
  const args = ['--data', GOOD, '--out', join(out.path, 'y.parquet'), '--adapter', 'hardware']
  const told = await kernelgrad('predict', '--model', path, ...args)
  if (told.code === 0) return console.log('skip: this machine has a hardware adapter')
  refused(told, /no WebGPU adapter: .* npm install @sparticuz\/chromium/)
  out.check()
})

test('usage: unknown and missing options end with 2', async () => {
  const unknown = await kernelgrad('info', '--speed', '9')
  refused(unknown, /unknown option '--speed'/, 2)
})

test('the installed command: a missing config, a missing option', () => {
  const cli = (...args: string[]) =>
    spawnSync(process.execPath, ['bin/kernelgrad.js', ...args], { encoding: 'utf8' })
  const out = join(folder, 'never')
  const missing = cli('train', '--config', join(folder, 'c.json'), '--train', GOOD, '--out', out)
  assert.is(missing.stderr, `error: cannot read ${join(folder, 'c.json')}: no such file or folder\n`)
  assert.equal([missing.status, missing.stdout], [1, ''])
  const usage = cli('predict', '--model', 'm', '--data', GOOD)
  assert.is(usage.stderr, "error: required option '--out <file>' not specified\n")
  assert.equal([usage.status, usage.stdout], [2, ''])
  assert.not(readdirSync(folder).includes('never'))
})

test.run()
