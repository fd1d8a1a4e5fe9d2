// `kernelgrad export`: a saved model to a file that onnxruntime runs.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { predict } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { datasetOf, feedsOf, rowsOf, runOnnx } from '../support/onnx.ts'
import { saveScoring, scoringModel } from '../support/score-rows.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-export-'))
test.after(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const gpu = await openTestGpu()
await saveScoring(gpu, at('run'))
const model = scoringModel(gpu)
const rows = rowsOf(model, 12, 8)
const wanted = await predict(model, await datasetOf(model, rows))
const feeds = feedsOf(model, rows)
gpu.close()

test('export writes into folders to come, over an older file, and tells inputs and outputs', async () => {
  const path = at('new/folder/model.onnx')
  const told = await kernelgrad('export', '--model', at('run'), '--onnx', path)
  assert.is(told.code, 0, told.err)
  assert.match(told.out, /in +input_ids +int64 +\[batch, sequence\]\n/)
  assert.match(told.out, /in +depth +float32 +\[batch\]\n/)
  assert.match(told.out, /out +probabilities +float32 +\[batch, 2\]\n/)
  assert.match(told.out, /TextTabularModel in .*model\.onnx, \d+ bytes, opset 17\n$/)
  writeFileSync(path, 'older')
  const json = await kernelgrad('export', '--model', at('run'), '--onnx', path, '--json')
  assert.is(json.code, 0, json.err)
  const result = JSON.parse(json.out)
  assert.equal(
    [result.path, result.bytes, result.architecture],
    [path, readFileSync(path).length, 'TextTabularModel'],
  )
  assert.equal(result.inputs.map((one: { name: string }) => one.name).sort(), Object.keys(feeds).sort())
  const { probabilities } = await runOnnx(path, feeds)
  assert.is(probabilities!.length, wanted.length)
  for (const [i, p] of probabilities!.entries()) assert.ok(Math.abs(p - wanted[i]!) <= 1e-5)
})

test('the preparation that a run keeps goes along, and one that is none is an error of its file', async () => {
  const preparation = {
    kernelgrad_preparation: 1,
    columns: { day: { role: 'ignore' }, city: { role: 'label' } },
  }
  writeFileSync(at('run/preparation.json'), JSON.stringify(preparation))
  const wrong = await kernelgrad('export', '--model', at('run'), '--onnx', at('p.onnx'))
  assert.is(wrong.code, 1)
  assert.match(wrong.err, /run.preparation\.json: /)
  assert.not(existsSync(at('p.onnx')))
  const right = { kernelgrad_preparation: 1, columns: { day: { role: 'ignore' } }, missing: [] }
  writeFileSync(at('run/preparation.json'), JSON.stringify(right))
  const told = await kernelgrad('export', '--model', at('run'), '--onnx', at('p.onnx'))
  assert.is(told.code, 0, told.err)
  assert.match(readFileSync(at('p.onnx'), 'utf8'), /"columns":\{"day":\{"role":"ignore"\}\}/)
})

for (const [what, args, code, message] of [
  [
    'a model that is not there',
    ['--model', at('none'), '--onnx', at('x.onnx')],
    1,
    /cannot read .*none.config\.json/,
  ],
  ['no model', ['--onnx', at('x.onnx')], 2, /required option '--model <folder>'/],
  ['no file', ['--model', at('run')], 2, /required option '--onnx <file>'/],
  ['a folder in its place', ['--model', at('run'), '--onnx', folder], 1, /cannot write .*: it is a folder/],
  [
    'the weights',
    ['--model', at('run'), '--onnx', at('run/model.safetensors')],
    2,
    /--onnx .* is the file that --model reads/,
  ],
  [
    'below a file',
    ['--model', at('run'), '--onnx', at('run/config.json/x.onnx')],
    1,
    /cannot write .*x\.onnx: /,
  ],
  [
    'stdout for both',
    ['--model', at('run'), '--onnx', '/dev/stdout', '--json'],
    2,
    /--onnx \/dev\/stdout is stdout, where --json goes; name a file/,
  ],
  [
    'a misspelt option',
    ['--model', at('run'), '--onnx', at('x.onnx'), '--opset', '9'],
    2,
    /unknown option '--opset'/,
  ],
] as const)
  test(`refused: ${what}`, async () => {
    const told = await kernelgrad('export', ...args)
    assert.is(told.code, code, told.err)
    assert.match(told.err, message)
    assert.not(existsSync(at('x.onnx')))
  })

test('a model of another kind is refused by name', async () => {
  mkdirSync(at('detext'))
  writeFileSync(at('detext/config.json'), '{"architecture":"DetextModel"}')
  const told = await kernelgrad('export', '--model', at('detext'), '--onnx', at('x.onnx'))
  assert.is(told.code, 1)
  assert.match(
    told.err,
    /detext.config\.json: a DetextModel is not written as ONNX, expected one of TextTabularModel/,
  )
})

test.run()
