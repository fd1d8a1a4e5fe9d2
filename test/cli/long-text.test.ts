// A text with more tokens than the encoder reads: wherever it is read, the message names file and row, and the way out.
// Waits for CI: it trains on long texts
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseModelConfig, parseTrainerConfig } from '../../src/config/index.ts'
import { createLoader, loadDataset, openParquet, writeParquet } from '../../src/data/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { createModel } from '../../src/models/index.ts'
import { evaluate, predict, predictStream, saveModel, Trainer } from '../../src/train/index.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-long-'))
const at = (name: string) => join(folder, name)
const gpu = await openGpu()
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const LONGEST = 5
const json = {
  features_config: { words: { dtype: 'token_id' }, more: { dtype: 'token_id' } },
  pretrained_model_config: {
    vocab_size: 20,
    dim: 4,
    n_heads: 1,
    n_layers: 1,
    hidden_dim: 4,
    max_position_embeddings: LONGEST,
  },
}
const config = parseModelConfig(json, 'the test')
const ROWS = 23

/** Rows of short texts, in row groups of 10; row `long` has 4 + 3 tokens in its two columns together. */
async function file(name: string, long?: number): Promise<string> {
  const words = Array.from({ length: ROWS }, (_, row) => (row === long ? [1, 2, 3, 4] : [row % 19, 3]))
  const more = Array.from({ length: ROWS }, (_, row) => (row === long ? [5, 6, 7] : [2]))
  await writeParquet(
    at(name),
    [
      { name: 'words', kind: 'list<int64>', data: words },
      { name: 'more', kind: 'list<int64>', data: more },
      { name: 'label', kind: 'int64', data: words.map((_, row) => row % 2) },
    ],
    { rowGroupSize: 10 },
  )
  return at(name)
}
const short = await file('short.parquet')
const long = await file('long.parquet', 17)
const SAYS =
  /long\.parquet: row 17 has a text of 7 tokens, expected at most 5 \(max_position_embeddings\); truncate \(--truncate /

async function refusal(work: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    assert.is((error as Error).name, 'DataError', (error as Error).stack)
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

test('the library names file and row of that file, also after another file and from a worker', async () => {
  const model = createModel(config).to(gpu, { seed: 1 })
  const rows = await loadDataset([short, long], { inputs: model.inputs })
  const fine = await loadDataset(short, { inputs: model.inputs })
  assert.match(await refusal(predict(model, rows, { batchSize: 4 })), SAYS)
  assert.match(await refusal(evaluate(model, rows)), SAYS)
  const stream = async () => {
    const source = await openParquet(long)
    for await (const { rows } of predictStream(model, source, { batchSize: 7 })) assert.ok(rows.length)
  }
  assert.match(await refusal(stream), SAYS)
  for (const worker of [false, true]) {
    const loader = createLoader(rows, model.inputs, { batchSize: 50, worker })
    const order = Uint32Array.from({ length: rows.length }, (_, i) => i)
    assert.match(await refusal(loader.batches(order).next()), SAYS)
    await loader.close()
  }
  const settings = parseTrainerConfig({ max_steps: 1, eval_steps: 1, save_steps: 1 }, 'the test')
  for (const [train, evaluation] of [
    [rows, fine],
    [fine, rows],
  ] as const) {
    const output = at('never')
    const trainer = new Trainer({ model, config: settings, train, evaluation, output })
    assert.match(await refusal(trainer.train()), SAYS)
    const cut = new Trainer({ model, config: { ...settings, truncate: true }, train, evaluation })
    await cut.train()
  }
  await saveModel(model, at('model'))
  model.free()
})

test('every command names them, and takes --truncate', async () => {
  writeFileSync(
    at('config.json'),
    JSON.stringify({ ...json, trainer: { max_steps: 1, eval_steps: 1, save_steps: 1 } }),
  )
  const commands = [
    ['predict', '--model', at('model'), '--data', long, '--out', at('out.parquet')],
    ['evaluate', '--model', at('model'), '--data', long],
    ['train', '--config', at('config.json'), '--train', short, long, '--out', at('run')],
    ['train', '--config', at('config.json'), '--train', short, '--eval', long, '--out', at('run')],
  ]
  for (const command of commands) {
    const { code, err } = await kernelgrad(...command)
    assert.is(code, 1)
    assert.match(err, SAYS)
    assert.is(err.split('\n').length, 2)
    const cut = await kernelgrad(...command, '--truncate')
    assert.is(cut.code, 0, cut.err)
    rmSync(at('run'), { recursive: true, force: true })
  }
})

test.run()
