// An output never takes an input's place, by whatever way it is reached; and one folder has one writer.
// Waits for CI: it starts dozens of processes

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lockOutputFolder } from '../../src/train/index.ts'
import { files, modelJson, TRAINER } from '../support/small-run.ts'
import { kernelgrad } from './capture.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-outputs-'))
const elsewhere = mkdtempSync(join(tmpdir(), 'kernelgrad-ways-'))
test.after(() => {
  for (const path of [root, elsewhere]) rmSync(path, { recursive: true })
})
const at = (...names: string[]) => join(root, ...names)
const config = at('config.json')
writeFileSync(
  config,
  JSON.stringify({ ...modelJson, trainer: { ...TRAINER, max_steps: 1, eval_steps: 1, save_steps: 1 } }),
)

/** Every file below a folder, with what it holds. */
function everything(path: string): Record<string, string> {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(name =>
    statSync(join(path, name)).isFile(),
  )
  return Object.fromEntries(
    names.sort().map(name => [
      name,
      createHash('sha256')
        .update(readFileSync(join(path, name)))
        .digest('hex'),
    ]),
  )
}

/** A command that must be refused, with nothing below the root changed. */
async function refused(args: string[], says: RegExp, code = 2): Promise<void> {
  const before = everything(root)
  const got = await kernelgrad(...args)
  assert.is(got.code, code, `${args.join(' ')}\n${got.err}`)
  assert.match(got.err, says)
  assert.equal(everything(root), before)
}

const SIZES = {
  features_config: { title: { dtype: 'token_id' } },
  vocab_size: 9,
  pad_token_id: 0,
  num_labels: 2,
  rows: { read: 9, train: 6, test: 3 },
  clicks: { train: 2, test: 2 },
  seed: 1,
}

const train = (out: string, more: object = {}) =>
  Object.entries({ '--config': config, '--train': files.train, ...more, '--out': out }).flat()

test('a run is made to begin with', async () => {
  const { code, err } = await kernelgrad('train', ...train(at('run')), '--eval', files.test)
  assert.is(code, 0, err)
  assert.not(existsSync(at('run', '.lock')))
})

/** Ways to a file: its path, another, a link, a hard link. */
function ways(path: string): string[] {
  const name = mkdtempSync(join(elsewhere, 'way-'))
  symlinkSync(path, join(name, 'soft'))
  linkSync(path, join(name, 'hard'))
  symlinkSync(join(name, 'soft'), join(name, 'chain'))
  symlinkSync(join(path, '..'), join(name, 'folder'))
  return [
    path,
    relative('.', path),
    join(name, 'soft'),
    join(name, 'hard'),
    join(name, 'chain'),
    join(name, 'folder', path.split('/').at(-1)!),
  ]
}

test('train refuses a folder whose files are its inputs', async () => {
  for (const name of ['config.json', 'training_args.json', 'report.json', 'report.html']) {
    mkdirSync(at(`own-${name}`))
    cpSync(config, at(`own-${name}`, name))
    for (const path of ways(at(`own-${name}`, name)))
      await refused(
        ['train', ...train(at(`own-${name}`), { '--config': path })],
        new RegExp(`^error: --out .*own-${name}/${name} is the file that --config reads; name another\n$`),
      )
  }
  mkdirSync(at('linked'))
  cpSync(files.train, at('rows.parquet'))
  symlinkSync(at('rows.parquet'), at('linked', 'report.html'))
  for (const option of ['--train', '--eval'])
    await refused(
      ['train', ...train(at('linked'), { '--train': files.train, [option]: at('rows.parquet') })],
      new RegExp(`linked/report\\.html is the file that ${option} reads`),
    )
})

test('train refuses an input in a checkpoint of its folder, and a folder where it writes a file', async () => {
  const inside = at('run', 'checkpoint-1', 'mine.json')
  cpSync(config, inside)
  await refused(
    ['train', ...train(at('run'), { '--config': inside }), '--resume'],
    /is in a checkpoint that --out .* replaces/,
  )
  rmSync(inside)
  for (const name of ['report.html', 'config.json']) {
    mkdirSync(at('with-folder', name), { recursive: true })
    await refused(
      ['train', ...train(at('with-folder'))],
      new RegExp(`cannot write .*${name}: it is a folder`),
      1,
    )
    rmSync(at('with-folder'), { recursive: true })
  }
  await refused(
    ['train', ...train(config)],
    /cannot write into .*config\.json: it is a file, not a folder/,
    1,
  )
})

test('predict refuses its data and every file of the model', async () => {
  cpSync(files.test, at('data.parquet'))
  const predict = (out: string) => [
    'predict',
    '--model',
    at('run'),
    '--data',
    at('data.parquet'),
    '--out',
    out,
  ]
  for (const way of ways(at('data.parquet')))
    await refused(predict(way), /^error: --out .* is the file that --data reads; name another\n$/)
  for (const name of ['config.json', 'model.safetensors', 'report.json', 'training_args.json'])
    for (const way of ways(at('run', name)))
      await refused(predict(way), /^error: --out .* is the file that --model reads; name another\n$/)
  await refused(predict(at('run')), /cannot write .*run: it is a folder/, 1)
  await refused(
    [...predict('/dev/stdout'), '--json'],
    /--out \/dev\/stdout is stdout, where --json goes; name a file/,
  )
  // Beside the model it may lie, twice over.
  for (let i = 0; i < 2; i++) {
    const { code, err } = await kernelgrad(...predict(at('run', 'p.parquet')))
    assert.is(code, 0, err)
  }
})

test('report refuses the reports it reads, and writes its own page again', async () => {
  for (const way of ways(at('run', 'report.json')))
    await refused(
      ['report', at('run'), '--out', way],
      /report\.json|--out .* is the file that the report reads/,
    )
  await refused(['report', at('run'), '--out', at('run')], /cannot write .*run: it is a folder/, 1)
  const { code } = await kernelgrad('report', at('run'), '--out', at('run', 'report.html'))
  assert.is(code, 0)
})

test('preprocess and experiment refuse what they read', async () => {
  const { writeSyntheticRaw } = await import('../../src/datasets/index.ts')
  await writeSyntheticRaw({ folder: at('raw'), rows: 50 })
  mkdirSync(at('prepared'))
  for (const [name, raw] of [
    ['train.parquet', 'training.txt'],
    ['features.json', 'userid_profile.txt'],
  ] as const) {
    linkSync(at('raw', raw), at('prepared', name))
    await refused(
      ['preprocess', at('raw'), '--out', at('prepared')],
      new RegExp(`prepared/${name} is .*raw/${raw}, which is read; name another folder`),
      1,
    )
    rmSync(at('prepared', name))
  }
  const results = at('experiment', 'results.json')
  mkdirSync(at('experiment'))
  writeFileSync(results, JSON.stringify(SIZES))
  const rows = ['--train', files.train, '--eval', files.test]
  await refused(
    ['experiment', ...rows, '--features', results, '--out', at('experiment'), '--size', 'demo'],
    /results\.json is the file that --features reads/,
  )
})

test('stdout that goes to a file which is read is refused', () => {
  cpSync(files.test, at('shared.parquet'))
  const before = everything(root)
  const run = (command: string) =>
    spawnSync('sh', ['-c', `node bin/kernelgrad.js ${command} >> ${at('shared.parquet')}`], {
      encoding: 'utf8',
    })
  const { status, stderr } = run(`evaluate --model ${at('run')} --data ${at('shared.parquet')} --json`)
  assert.is(status, 2, stderr)
  assert.match(stderr, /^error: stdout goes to .*shared\.parquet, the file that --data reads\n$/)
  assert.equal(everything(root), before)
})

test('a folder that another writer has is refused by train, its resume and experiment', async () => {
  const release = await lockOutputFolder(at('run'), { resume: true })
  await refused(
    ['train', ...train(at('run')), '--resume'],
    new RegExp(`is in use: this process \\(${process.pid}\\), started`),
    1,
  )
  await refused(['train', ...train(at('run'))], /is in use/, 1)
  await release()
  const taken = await lockOutputFolder(at('taken'))
  await refused(['demo', '--out', at('taken')], /taken is in use/, 1)
  await refused(['preprocess', at('raw'), '--out', at('taken')], /taken is in use/, 1)
  await taken()
  const { code, err } = await kernelgrad('train', ...train(at('run')), '--eval', files.test, '--resume')
  assert.is(code, 0, err)
})

test.run()
