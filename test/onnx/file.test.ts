// The file: what it holds beside the graph, weights beside it, empty texts, names that clash; and what is refused.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ort from 'onnxruntime-web'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeSafetensors } from '../../src/data/safetensors-file.ts'
import * as kg from '../../src/index.ts'
import { writeOnnx } from '../../src/onnx/export.ts'
import { exportOnnx } from '../../src/onnx/index.ts'
import { readPieces } from '../../src/train/device-tensors.ts'
import { predict, saveModel } from '../../src/train/index.ts'
import { CONFIG as DETEXT } from '../support/detext.ts'
import { openTestGpu } from '../support/gpu.ts'
import { datasetOf, feedsOf, rowsOf, runOnnx, scramble } from '../support/onnx.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-onnx-file-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
const at = (name: string) => join(folder, name)

const ENCODER = {
  vocab_size: 30,
  dim: 8,
  n_heads: 2,
  n_layers: 1,
  hidden_dim: 12,
  max_position_embeddings: 12,
}
const TABLE = {
  city: { dtype: 'categorical', vocab_size: 5, embedding_size: 3 },
  price: { dtype: 'numerical' },
} as const satisfies kg.FeaturesConfig
const clicks = (features: kg.FeaturesConfig = TABLE) =>
  new kg.TextTabularModel({
    features_config: { title: { dtype: 'token_id' }, ...features },
    pretrained_model_config: ENCODER,
  })
const model = await scramble(clicks().to(gpu, { seed: 1 }), 3)
const rows = rowsOf(model, 9, 4)
const wanted = Array.from(await predict(model, await datasetOf(model, rows)))
const near = (actual: number[], expected: number[]) => {
  assert.is(actual.length, expected.length)
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(actual[i]! - value) <= 1e-5, `${i}: ${actual[i]} for ${value}`)
}
const texts = (path: string) => readFileSync(path, 'latin1')

async function refusal(work: () => unknown, kind: new (...args: never[]) => Error, message: RegExp) {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kind)
    assert.match((error as Error).message, message)
    return
  }
  throw new Error('nothing was refused')
}

test('a folder gives the file that its model gives, without a device, and of halves too', async () => {
  await saveModel(model, at('saved'))
  const live = await exportOnnx(model, at('live.onnx'))
  const stored = await exportOnnx(at('saved'), at('stored.onnx'))
  assert.equal({ ...stored, path: '' }, { ...live, path: '' })
  assert.equal(readFileSync(at('stored.onnx')), readFileSync(at('live.onnx')))
  const state = await model.stateDict()
  // bfloat16: the upper half of a float32.
  const half = (data: ArrayLike<number | bigint>) => {
    const bits = new Uint32Array(Float32Array.from(data as Float32Array).buffer)
    return new Uint8Array(Uint16Array.from(bits, one => one >>> 16).buffer)
  }
  await writeSafetensors(
    at('saved/model.safetensors'),
    [...state].map(([name, { shape, data }]) => ({ name, dtype: 'BF16', shape, chunks: [half(data)] })),
  )
  await exportOnnx(at('saved'), at('halves.onnx'))
  const again = await kg.loadModel(gpu, at('saved'))
  const { probabilities } = await runOnnx(at('halves.onnx'), feedsOf(model, rows))
  near(probabilities!, Array.from(await predict(again, await datasetOf(again, rows))))
  again.free()
})

test('its metadata tell library, architecture, configuration and preparation', async () => {
  const document = {
    kernelgrad_preparation: 1 as const,
    columns: { größe: { role: 'weight' as const } },
    missing: [],
  }
  await exportOnnx(model, at('told.onnx'), { preparation: { document } })
  const file = readFileSync(at('told.onnx'), 'utf8')
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  for (const [key, value] of [
    ['kernelgrad_version', version],
    ['architecture', 'TextTabularModel'],
    ['config', JSON.stringify(model.config)],
    ['preparation', JSON.stringify(document)],
  ])
    assert.ok(file.indexOf(value!, file.indexOf(key!)) > 0, key)
  await exportOnnx(model, at('told.onnx'))
  assert.not(texts(at('told.onnx')).includes('kernelgrad_preparation'))
})

test('weights keep names and bits, and those that no score reads stay away', async () => {
  const ranker = new kg.TabularRanker({
    features_config: TABLE,
    lists: ['session'],
    label: 'click',
    loss: 'two_tower',
    position: { column: 'position', rows: 4 },
  }).to(gpu, { seed: 2 })
  await exportOnnx(ranker, at('ranker.onnx'))
  const file = readFileSync(at('ranker.onnx'))
  for (const [name, { data }] of await ranker.stateDict()) {
    const read = name !== 'propensities.weight'
    assert.is(file.includes(name), read, name)
    assert.is(file.includes(Buffer.from(data.buffer)), read, name)
  }
  ranker.free()
})

test('empty texts, alone and all of them, give what they give here', async () => {
  const none = rows.slice(0, 4).map(row => ({ ...row, title: [] }))
  const expected = Array.from(await predict(model, await datasetOf(model, none)))
  for (const extra of [0, 1, 3]) {
    const { probabilities } = await runOnnx(await written('empty.onnx'), feedsOf(model, none, extra))
    near(probabilities!, expected)
  }
})

async function written(name: string, of: kg.Model = model): Promise<string> {
  return (await exportOnnx(of, at(name))).path
}

test('ids that are in no table are refused there too, those below zero included', async () => {
  const path = await written('ids.onnx')
  for (const [name, value] of [
    ['city', 5n],
    ['city', -1n],
    ['input_ids', 30n],
    ['input_ids', -1n],
  ] as const) {
    const feeds = feedsOf(model, rows, 1)
    const data = BigInt64Array.from(feeds[name]!.data as BigInt64Array)
    data[0] = value
    feeds[name] = new ort.Tensor('int64', data, feeds[name]!.dims)
    let failed = ''
    await runOnnx(path, feeds).catch(error => {
      failed = String(error)
    })
    assert.match(failed, /indices element out of data bounds/, `${name} ${value}`)
  }
})

test('weights that are too large for one file lie beside it', async () => {
  const values = (parameter: kg.Parameter) => readPieces(parameter.gpu, parameter.chunks())
  const path = at('large.onnx')
  const told = await writeOnnx(model, path, undefined, values, 5000)
  assert.is(told.dataPath, `${path}.data`)
  const data = readFileSync(told.dataPath!)
  assert.is(told.bytes, data.length + readFileSync(path).length)
  assert.is(data.length, 4 * model.numParameters())
  const { probabilities } = await runOnnx(path, feedsOf(model, rows), { path: 'large.onnx.data', data })
  near(probabilities!, wanted)
})

test('features may be called as weights are, or as nodes; not as what else goes in or comes out', async () => {
  const odd = { 'head.weight': TABLE.price, Gemm_12: TABLE.city, 'größe, cm': TABLE.price }
  const strange = await scramble(clicks(odd).to(gpu, { seed: 5 }), 6)
  const some = rowsOf(strange, 5, 7)
  const { probabilities } = await runOnnx(await written('odd.onnx', strange), feedsOf(strange, some))
  near(probabilities!, Array.from(await predict(strange, await datasetOf(strange, some))))
  strange.free()
  for (const name of ['logits', 'probabilities', 'attention_mask', 'input_ids']) {
    const clash = clicks({ [name]: TABLE.price }).to(gpu)
    const message = new RegExp(`one tensor called '${name}', and the model a feature of that name`)
    await refusal(() => exportOnnx(clash, at('clash.onnx')), kg.ConfigError, message)
    clash.free()
  }
})

test('what cannot be written is refused by name, with what can be', async () => {
  class Own extends kg.TabularModel {}
  const own = new Own({ features_config: TABLE }).to(gpu)
  const detext = kg.createModel({ ...DETEXT, architecture: 'DetextModel' } as kg.ModelConfiguration)
  const can =
    /is not written as ONNX, expected one of TextTabularModel, DistilBertForSequenceClassification, Tab/
  await refusal(() => exportOnnx(own, at('own.onnx')), kg.ConfigError, /exportOnnx: a Own is not written/)
  await refusal(() => exportOnnx(detext.to(gpu), at('own.onnx')), kg.ConfigError, can)
  mkdirSync(at('unknown'))
  writeFileSync(at('unknown/config.json'), '{"architecture":"Clicks"}')
  const named = /unknown.config\.json: a Clicks is not written as ONNX, expected one of TextTab/
  await refusal(() => exportOnnx(at('unknown'), at('own.onnx')), kg.ConfigError, named)
  assert.not(readdirSync(folder).includes('own.onnx'))
  own.free()
  detext.free()
})

for (const [what, args, kind, message] of [
  ['no model', [undefined, 'x.onnx'], kg.ArgumentError, /exportOnnx: model is undefined/],
  ['a promise', [Promise.resolve(), 'x.onnx'], kg.ArgumentError, /await it first/],
  ['a model on no device', [clicks(), 'x.onnx'], kg.KernelgradError, /on no device/],
  [
    'no folder of that name',
    [at('nope'), 'x.onnx'],
    kg.ConfigError,
    /cannot read .*nope.config\.json: no such file/,
  ],
  ['no folder', ['', 'x.onnx'], kg.ArgumentError, /exportOnnx: model is empty, expected a path/],
  ['no path', [model], kg.ArgumentError, /exportOnnx: path is undefined, expected a path/],
  ['an empty path', [model, ''], kg.ArgumentError, /exportOnnx: path is empty/],
  [
    'options misspelt',
    [model, 'x', { preparations: 1 }],
    kg.ConfigError,
    /'preparations' is unknown; did you mean 'preparation'/,
  ],
  ['a preparation that is none', [model, 'x', { preparation: 'p' }], kg.ArgumentError, /preparation is 'p'/],
  ['a folder in its place', [model, folder], kg.DataError, /cannot write .*: it is a folder/],
  [
    'a folder that is not there',
    [model, at('a/b.onnx')],
    kg.DataError,
    /cannot write .*: no such file or folder/,
  ],
] as const)
  test(`refused: ${what}`, () =>
    refusal(() => exportOnnx(...(args as never as [kg.Model, string])), kind, message))

test('what fails on the way leaves the older file, and nothing else', async () => {
  writeFileSync(at('old.onnx'), 'as it was')
  const before = readdirSync(folder)
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(4)
    throw new kg.DataError('lost')
  }
  await refusal(() => writeOnnx(model, at('old.onnx'), undefined, broken), kg.DataError, /^lost$/)
  assert.is(readFileSync(at('old.onnx'), 'utf8'), 'as it was')
  assert.equal(readdirSync(folder), before)
  await exportOnnx(model, at('old.onnx'))
  near((await runOnnx(at('old.onnx'), feedsOf(model, rows))).probabilities!, wanted)
})

test.run()
