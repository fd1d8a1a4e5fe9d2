// `kernelgrad train` and what can come between: Ctrl-C, changed data, damaged checkpoints, a loss that breaks.
// Waits for CI: it trains twenty small models
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns, writeParquet } from '../../src/data/index.ts'
import { interrupted } from '../support/interrupted.ts'
import { files, folder, modelJson, TRAINER } from '../support/small-run.ts'
import { kernelgrad } from './capture.ts'

// An evaluation a step tells, in a line of its own, how far the process is.
const SETTINGS = { ...TRAINER, eval_steps: 1, save_steps: 1, save_total_limit: 3 }

function configFile(name: string, settings: object = {}): string {
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify({ ...modelJson, trainer: { ...SETTINGS, ...settings } }))
  return path
}

const argsOf = (config: string, out: string, train = files.train) => [
  'train',
  '--config',
  config,
  '--train',
  train,
  '--eval',
  files.test,
  '--out',
  out,
]

const weights = (path: string) => readFileSync(join(path, 'model.safetensors'))

test('Ctrl-C saves and exits with 130, and --resume ends with the weights of a straight run', async () => {
  const config = configFile('straight')
  const straight = join(folder, 'straight')
  const run = await kernelgrad(...argsOf(config, straight))
  assert.is(run.code, 0, run.err)

  const out = join(folder, 'interrupted')
  const stopped = await interrupted(argsOf(config, out), /^step 3, epoch/m)
  assert.is(stopped.code, 130, stopped.err)
  const step = Number(
    /interrupted after step (\d+) of 14; .*checkpoint-\1 is saved, --resume/.exec(stopped.err)?.[1],
  )
  assert.ok(step >= 3 && step < 14, stopped.err)
  assert.ok(existsSync(join(out, `checkpoint-${step}`)))
  assert.not(existsSync(join(out, 'model.safetensors')))

  const resumed = await kernelgrad(...argsOf(config, out), '--resume')
  assert.is(resumed.code, 0, resumed.err)
  assert.ok(weights(out).equals(weights(straight)))
  const told = (run: { out: string }) => /\nmetric [\s\S]*?\n\n/.exec(run.out)![0]
  assert.is(told(resumed), told(run))
  assert.equal(readdirSync(out).sort(), readdirSync(straight).sort())
})

test('a second Ctrl-C exits at once', async () => {
  const out = join(folder, 'impatient')
  // One window takes the whole epoch: the first Ctrl-C would wait for it.
  const config = configFile('impatient', { gradient_accumulation_steps: 1000, num_train_epochs: 500 })
  const { code, err } = await interrupted(argsOf(config, out), /rows to train on/, /interrupted: saving/)
  assert.is(code, 130, err)
  assert.not.match(err, /interrupted after step/)
})

test('a damaged newest checkpoint is passed over for the one before, which is said', async () => {
  const config = configFile('damaged')
  const straight = join(folder, 'straight')
  for (const [name, damage] of Object.entries({
    truncated: (at: string) => truncateSync(join(at, 'optimizer.safetensors'), 999),
    flipped(at: string) {
      const bytes = weights(at)
      bytes[bytes.length - 7]! ^= 4
      writeFileSync(join(at, 'model.safetensors'), bytes)
    },
    unreadable: (at: string) => writeFileSync(join(at, 'checksums.json'), '{"model'),
  })) {
    const out = join(folder, name)
    cpSync(straight, out, { recursive: true })
    damage(join(out, 'checkpoint-14'))
    const run = await kernelgrad(...argsOf(config, out), '--resume')
    assert.is(run.code, 0, run.err)
    assert.match(
      run.out,
      new RegExp(`warning: .*${name}/checkpoint-14 is damaged \\(.*\\); it is passed over`),
    )
    assert.ok(weights(out).equals(weights(straight)), name)
    damage(join(out, 'checkpoint-13'))
    const asked = await kernelgrad(...argsOf(config, out), '--resume', join(out, 'checkpoint-13'))
    assert.is(asked.code, 1)
    assert.match(asked.err, /^error: .*checkpoint-13 is damaged: .*; name another checkpoint\n$/)
  }
})

test('what does not fit the checkpoint is refused by name', async () => {
  const config = configFile('fits')
  const out = join(folder, 'straight')
  const before = readdirSync(out, { recursive: true }).length
  const refused = async (what: RegExp, args: string[]) => {
    const { code, err } = await kernelgrad(...args)
    assert.equal([code, err.split('\n').length], [1, 2])
    assert.match(err, what)
  }
  await refused(/^error: .*already holds checkpoint-12 of an earlier run; .*--resume/, argsOf(config, out))
  await refused(/holds no checkpoint to go on from/, [...argsOf(config, join(folder, 'none')), '--resume'])
  await refused(/^error: seed is 3, and 9 in .*checkpoint-14/, [
    ...argsOf(configFile('seed', { seed: 3 }), out),
    '--resume',
  ])

  // The same rows, one value changed.
  const source = await openParquet(files.train)
  const columns = await readColumns(source, source.columns)
  const kind = (values: unknown[]) =>
    Array.isArray(values[0]) ? 'list<int64>' : typeof values[0] === 'bigint' ? 'int64' : 'double'
  columns.label![77] = 1n - (columns.label![77] as bigint)
  const changed = join(folder, 'changed.parquet')
  await writeParquet(
    changed,
    source.columns.map(name => ({ name, kind: kind(columns[name]!), data: columns[name]! })),
  )
  await refused(/^error: .*changed\.parquet has changed since training began \(\d+ bytes now/, [
    ...argsOf(config, out, changed),
    '--resume',
  ])
  await refused(/^error: .*test\.parquet has 61 rows, and .*train\.parquet had 150/, [
    ...argsOf(config, out, files.test),
    '--resume',
  ])
  await refused(/train\.parquet was not part of the data/, [
    ...argsOf(config, out).flatMap(arg => (arg === files.train ? [arg, arg] : [arg])),
    '--resume',
  ])
  assert.is(readdirSync(out, { recursive: true }).length, before)
  // A copy elsewhere is the same data, whenever it was made.
  const copy = join(folder, 'copy.parquet')
  copyFileSync(files.train, copy)
  const run = await kernelgrad(...argsOf(config, out, copy), '--resume')
  assert.is(run.code, 0, run.err)
})

test('a loss that is not a number names the step and the rows of its batch, and saves nothing', async () => {
  const out = join(folder, 'broken')
  const config = configFile('broken', {
    learning_rate: 1e30,
    encoder_learning_rate: 1e30,
    warmup_ratio: 0,
    shuffle: false,
    max_grad_norm: null,
    eval_steps: null,
  })
  const { code, err } = await kernelgrad(...argsOf(config, out))
  assert.is(code, 1)
  assert.match(
    err,
    /^error: the loss is not a number at step 2; try a lower learning rate, .*; the batch was \S*train\.parquet rows (24-31|32-39|40-47)\n$/,
  )
  assert.equal(readdirSync(out), ['checkpoint-1', 'training_args.json'])
})

test.run()
