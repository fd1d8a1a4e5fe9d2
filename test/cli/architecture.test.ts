// --architecture names a module whose default export is a model class: what else it may name, and a class of another copy of the library.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadDataset } from '../../src/data/index.ts'
import { evaluate, predict, saveModel, Trainer } from '../../src/train/index.ts'
import {
  byCommand,
  changed,
  end,
  file,
  folder,
  gpu,
  INPUTS,
  messageOf,
  moduleOf,
  SETTINGS,
  SOURCE,
  settings,
} from '../support/wrong-models.ts'
import { kernelgrad } from './capture.ts'

const other = join(folder, 'copy/kernelgrad')
/** What --architecture names, and what is said of it. */
const MODULES: [what: string, architecture: () => string, said: RegExp][] = [
  [
    'no file',
    () => join(folder, 'nowhere.js'),
    /nowhere\.js cannot be loaded: Cannot find module '.*nowhere\.js'/,
  ],
  ['a folder', () => folder, /cannot be loaded: Directory import .* is not supported/],
  [
    'no package',
    () => 'no-such-model',
    /^--architecture no-such-model cannot be loaded: Cannot find module 'no-such-model'$/,
  ],
  ['no JavaScript', () => moduleOf('export default class {'), /cannot be loaded: Unexpected end of input$/],
  ['a module that fails', () => moduleOf('nothing.at(0)'), /cannot be loaded: nothing is not defined$/],
  ['a module that throws what is no error', () => moduleOf("throw 'odd'"), /cannot be loaded: odd$/],
  [
    'a name that kernelgrad lacks',
    () => moduleOf("import { Modell } from 'kernelgrad'"),
    /cannot be loaded: The requested module 'kernelgrad' does not provide an export named 'Modell'$/,
  ],
  [
    'no default export',
    () => moduleOf(changed('export default', 'export')),
    /\.js has no default export, expected a class that extends Model$/,
  ],
  [
    'a default export of null',
    () => moduleOf('export default null'),
    /\.js: null is no model, expected a class that extends Model$/,
  ],
  [
    'a number',
    () => moduleOf('export default 42'),
    /\.js: 42 is no model, expected a class that extends Model$/,
  ],
  [
    'a function',
    () => moduleOf('export default () => {}'),
    /\.js: the function or class default is no model, expected a class that extends Model$/,
  ],
  [
    'a class that is no Model',
    () => moduleOf('export default class Small {}'),
    /\.js: the function or class Small is no model, expected a class that extends Model$/,
  ],
  [
    'a model instead of its class',
    () => moduleOf(`${changed('export default', '')}\nexport default new Small()`),
    /\.js: a Small is no model, expected its class$/,
  ],
  [
    'a class of another copy of the library',
    () => {
      cpSync('dist/src', join(other, 'dist/src'), { recursive: true })
      cpSync('package.json', join(other, 'package.json'))
      symlinkSync(resolve('node_modules'), join(folder, 'copy/node_modules'), 'junction')
      const entry = `./${relative(folder, join(other, 'dist/src/index.js'))}`
      return moduleOf(changed("from 'kernelgrad'", `from '${entry}'`))
    },
    /\.js: the function or class Small is no model, expected one that extends the Model of this copy of kernelgrad: it extends that of another, which `npm ls kernelgrad` shows$/,
  ],
]
for (const [what, architecture, says] of MODULES)
  test(`--architecture names ${what}`, async () => {
    const { code, said } = await byCommand(architecture())
    assert.match(said, says)
    assert.is(code, 2)
  })

test('--architecture names a package, also one that has an entry for import alone', async () => {
  const packages = {
    'model-main': { main: './model.js' },
    'model-import': { exports: { '.': { types: './none.d.ts', node: { import: './model.js' } } } },
    'model-none': { exports: { './other': './model.js' } },
  }
  for (const [name, manifest] of Object.entries(packages)) {
    const at = join(folder, 'node_modules', name)
    mkdirSync(at)
    writeFileSync(join(at, 'package.json'), JSON.stringify({ name, type: 'module', ...manifest }))
    writeFileSync(join(at, 'model.js'), changed('return crossEntropy(', `return '${name}'; crossEntropy(`))
  }
  const { cwd } = process
  process.cwd = () => folder
  try {
    for (const name of ['model-main', 'model-import'])
      assert.is((await byCommand(name)).said, `Small: loss gives '${name}', expected a tensor`)
    assert.match(
      (await byCommand('model-none')).said,
      /^--architecture model-none cannot be loaded: No "exports" main/,
    )
  } finally {
    process.cwd = cwd
  }
})

test('--teacher-architecture names the class of a teacher of one’s own; without it the teacher is not known', async () => {
  const elder = moduleOf(SOURCE.replaceAll('Small', 'Elder'))
  const { default: Elder } = await import(pathToFileURL(elder).href)
  const [teacher, out] = [join(folder, 'elder'), join(folder, 'younger')]
  const model = new Elder().to(gpu, { seed: 3 })
  await saveModel(model, teacher)
  model.free()
  const config = join(folder, 'younger.json')
  writeFileSync(config, JSON.stringify({ trainer: { ...SETTINGS, distillation: { teacher } } }))
  const run = (...more: string[]) =>
    kernelgrad(
      'train',
      ...['--config', config, '--architecture', moduleOf(SOURCE), '--train', file, '--out', out],
      ...more,
    )
  const unknown = await run()
  assert.is(unknown.code, 1)
  assert.match(unknown.err, /Elder/)
  const nowhere = await run('--teacher-architecture', join(folder, 'nowhere.js'))
  assert.is.not(nowhere.code, 0)
  assert.match(nowhere.err, /nowhere\.js cannot be loaded/)
  const known = await run('--teacher-architecture', elder)
  assert.is(known.code, 0, known.err)
  assert.match(known.out, /Small: \d+ parameters, 24 rows to train on/)
})

test('Trainer, predict and evaluate refuse a model of another copy of the library', async () => {
  const copy = await import(pathToFileURL(join(other, 'dist/src/index.js')).href)
  const model = copy.createModel({
    features_config: { title: { dtype: 'token_id' } },
    pretrained_model_config: { vocab_size: 9, dim: 4, n_heads: 1, n_layers: 1, hidden_dim: 4 },
  })
  const data = await loadDataset(file, { inputs: INPUTS })
  for (const call of [predict, evaluate])
    assert.match(
      await messageOf(() => call(model, data)),
      /: model is a TextTabularModel, expected one that extends the Model of this copy of kernelgrad/,
    )
  assert.match(
    await messageOf(() => new Trainer({ model, config: settings(), train: data })),
    /^Trainer: model is a TextTabularModel, expected one that extends the Model of this copy/,
  )
})

test.after(end)
test.run()
