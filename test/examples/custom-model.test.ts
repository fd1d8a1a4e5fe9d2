// The example model, copied out of the source tree with kernelgrad among its dependencies: the mistakes that a model can have are told by
// the command line before the first step. That it works is test/package/custom-model.test.ts's.
// Waits for CI: it trains through every command
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-model-'))
cpSync('examples/custom-model', folder, { recursive: true })
mkdirSync(join(folder, 'node_modules'))
for (const name of ['kernelgrad', 'valibot'])
  symlinkSync(
    name === 'kernelgrad' ? resolve('.') : resolve('node_modules', name),
    join(folder, 'node_modules', name),
    'junction',
  )
await writeSyntheticKdd({ folder, trainRows: 640, testRows: 90, seed: 2 })

const source = readFileSync(join(folder, 'dcn.js'), 'utf8')
const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))

function kernelgrad(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('bin/kernelgrad.js'), ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}
/** Trains with settings of one's own. */
function train(out: string, trainer: object, more: string[] = [], architecture = './dcn.js') {
  writeFileSync(
    join(folder, 'run.json'),
    JSON.stringify({ ...config, trainer: { ...config.trainer, ...trainer } }),
  )
  const files = ['--config', 'run.json', '--train', 'train.parquet', '--eval', 'test.parquet', '--out', out]
  return kernelgrad('train', '--architecture', architecture, ...files, '--json', ...more)
}

test('it has 60 lines at most', () => {
  assert.ok(source.trimEnd().split('\n').length <= 60)
})

/** The example with something changed; a run of it says what is wrong, and saves nothing. */
const MISTAKES: [what: string, from: string, to: string, said: RegExp][] = [
  [
    'a loss for each row',
    'return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels))',
    'return this.logits(batch)',
    /DcnV2: loss has shape \[64,2\], expected \[1\]/,
  ],
  [
    'scores of another width',
    'return [null, ',
    "return ['a', null, ",
    /DcnV2: scores have shape \[2,2\], expected \[2,3\]/,
  ],
  ['no loss at all', 'loss(batch) {', 'lost(batch) {', /DcnV2 lacks loss, which every model has/],
  [
    'an input of no kind',
    "kind: 'floats'",
    "kind: 'numbers'",
    /DcnV2: input 'numerical' has kind "numbers", expected one of/,
  ],
  [
    'a column that is not there',
    "column: 'label'",
    "column: 'clicks'",
    /train\.parquet has no column clicks/,
  ],
  [
    'no default export',
    'export default class',
    'export class',
    /has no default export, expected a class that extends Model/,
  ],
]
for (const [what, from, to, said] of MISTAKES)
  test(`told before the first step: ${what}`, () => {
    assert.ok(source.includes(from), from)
    writeFileSync(join(folder, 'wrong.js'), source.replace(from, to))
    const { status, stderr } = train('wrong', {}, [], './wrong.js')
    assert.ok(status === 1 || status === 2, stderr)
    assert.match(stderr, said)
    assert.not.ok(existsSync(join(folder, 'wrong', 'model.safetensors')))
  })

test('a wrong configuration is told by file and key', () => {
  const told = (changes: object) => {
    writeFileSync(join(folder, 'bad.json'), JSON.stringify({ ...config, ...changes }))
    const files = ['--config', 'bad.json', '--train', 'train.parquet', '--out', 'bad']
    return kernelgrad('train', '--architecture', './dcn.js', ...files).stderr
  }
  assert.match(told({ cross_layers: 0 }), /^error: bad\.json: cross_layers: expected at least 1/m)
  assert.match(
    told({ categorical: { gender: 2.5 } }),
    /^error: bad\.json: categorical\.gender: expected an integer/m,
  )
  assert.match(told({ crosslayers: 2 }), /^error: bad\.json: crosslayers: /m)
  assert.match(told({ trainer: { epochs: 2 } }), /^error: bad\.json: trainer: unknown key "epochs"/m)
  const missing = kernelgrad(
    'tune',
    '--architecture',
    './nowhere.js',
    '--config',
    'config.json',
    '--data',
    'x',
  )
  assert.match(missing.stderr, /--architecture \.\/nowhere\.js cannot be loaded: Cannot find module/)
})

test.after(() => rmSync(folder, { recursive: true }))
test.run()
