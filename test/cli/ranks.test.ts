// train, evaluate and predict as several processes that mpiexec started: one process's figures and files, and one error for what is wrong.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { launch, launchers } from '../support/mpi.ts'
import { far } from '../support/rank-runs.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-ranks-'))
test.after(() => rmSync(folder, { recursive: true }))
const data = await writeSyntheticKdd({ folder: join(folder, 'data'), trainRows: 60, testRows: 41, seed: 1 })
const launcher = launchers[0]
const when = launcher ? test : test.skip

/** A configuration whose batches have 8 rows on so many ranks. */
function configOf(ranks: number): string {
  const path = join(folder, `${ranks}.json`)
  const trainer = {
    num_train_epochs: 1,
    per_device_train_batch_size: 8 / ranks,
    gradient_accumulation_steps: 1,
    save_steps: 4,
    eval_steps: 4,
    logging_steps: 1,
    seed: 3,
  }
  const table = Object.entries(data.features_config).filter(([, { dtype }]) => dtype === 'categorical')
  const features_config = Object.fromEntries(table)
  const mlp_config = [{ hidden_size: 8, activation_function: 'ReLU' }]
  writeFileSync(path, JSON.stringify({ architecture: 'TabularModel', features_config, mlp_config, trainer }))
  return path
}

const trainArgs = (ranks: number, out: string) => [
  ...['train', '--config', configOf(ranks), '--train', data.train, '--eval', data.test],
  ...['--out', join(folder, out)],
]
const onRanks = (ranks: number, args: string[], env: Record<string, string> = {}) =>
  launch(launcher!, ranks, ['bin/kernelgrad.js', ...args], env).ended
const lossesOf = (out: string): number[] =>
  JSON.parse(
    readFileSync(join(folder, out, 'checkpoint-8', 'trainer_state.json'), 'utf8'),
  ).log_history.flatMap(({ loss }: { loss?: number }) => loss ?? [])
const errorsOf = (out: string) => out.split('\n').filter(line => line.startsWith('error: '))

when('two processes train, evaluate and predict as one', async () => {
  assert.is((await kernelgrad(...trainArgs(1, 'one'))).code, 0)
  const two = await onRanks(2, trainArgs(2, 'two'))
  assert.is(two.code, 0, two.out)
  const [one, shared] = [lossesOf('one'), lossesOf('two')]
  assert.is(one.length, 8)
  assert.ok(far(one, shared) <= 1e-5, `${one} and ${shared}`)
  assert.is(two.out.match(/the model is in/g)?.length, 1)
  const model = join(folder, 'two')
  const evaluate = ['evaluate', '--model', model, '--data', data.test, '--json', '--batch-size', '8']
  const [alone, together] = [await kernelgrad(...evaluate), await onRanks(2, evaluate)]
  const figures = (out: string) => JSON.parse(out.split('\n').find(line => line.startsWith('{'))!)
  assert.equal(figures(together.out), figures(alone.out))
  const predict = (out: string) => [
    ...['predict', '--model', model, '--data', data.test, '--batch-size', '8'],
    ...['--out', join(folder, out)],
  ]
  assert.is((await kernelgrad(...predict('one.parquet'))).code, 0)
  assert.is((await onRanks(2, predict('two.parquet'))).code, 0)
  assert.ok(readFileSync(join(folder, 'one.parquet')).equals(readFileSync(join(folder, 'two.parquet'))))
  // Three go on from where two stood, with other batches: refused once, and nothing is written.
  const other = await onRanks(3, [...trainArgs(2, 'two'), '--resume'])
  assert.is.not(other.code, 0)
  assert.match(errorsOf(other.out).join('\n'), /per_device_train_batch_size is 4 on 3 ranks, 12 together/)
  assert.is(errorsOf(other.out).length, 1, other.out)
})

when('more processes than rows, and no such file, are one error', async () => {
  const missing = await onRanks(2, [
    ...trainArgs(2, 'none').slice(0, -4),
    '--out',
    join(folder, 'none'),
    '--train',
    'nowhere.parquet',
  ])
  assert.is.not(missing.code, 0)
  assert.is(errorsOf(missing.out).length, 1, missing.out)
  assert.not(existsSync(join(folder, 'none', 'report.json')))
})

/** Command lines that cannot be right, and what rank 0 alone says of them. */
const WRONG: [string[], RegExp][] = [
  [['train', '--confg', 'x', '--out', 'y'], /unknown option '--confg'/],
  [['evaluate', '--data', data.test], /required option '--model <folder>' not specified/],
  [['nonsense'], /unknown command 'nonsense'/],
  [['experiment', 'nonsense'], /unknown command 'experiment nonsense'/],
  [
    ['predict', '--model', folder, '--data', data.test, '--out', 'y', '--batch-size', '0'],
    /at least 1, got '0'/,
  ],
  [
    ['prepare', data.train, '--label', 'y', '--out', join(folder, 'p')],
    /prepare is the work of one process, and mpiexec of \S+( MPI)? started 2: /,
  ],
  [['serve', '--model', folder], /serve is the work of one process/],
]

// MPICH's ends no process for the end of another, and is the harder one.
const tried = process.env.CI ? launchers : launchers.slice(-1)
if (tried.length < launchers.length)
  console.log('skip: command lines over the first launcher: each starts processes; set CI=1 to try them')

for (const one of tried)
  test(`over ${one.name}, what is wrong with a command line is told once, and ends all`, async () => {
    for (const [args, says] of WRONG) {
      const { code, out } = await launch(one, 2, ['bin/kernelgrad.js', ...args]).ended
      assert.is.not(code, 0)
      assert.match(out, says)
      assert.is(errorsOf(out).length, 1, out)
    }
    for (const [name, value] of [
      ['KERNELGRAD_MPI', 'foo'],
      ['KERNELGRAD_MPI', '/no/such.so'],
      ['KERNELGRAD_RANKS_LOST', 'soon'],
    ] as const) {
      const { code, out } = await launch(one, 2, ['bin/kernelgrad.js', ...trainArgs(2, 'never')], {
        [name]: value,
      }).ended
      assert.is.not(code, 0)
      assert.match(errorsOf(out).join(), value)
      assert.is(errorsOf(out).length, 1, out)
    }
    assert.not(existsSync(join(folder, 'never')))
  })

for (const one of tried)
  test(`over ${one.name}, rank 0 alone answers what is asked of the program`, async () => {
    for (const [args, says] of [
      [['--help'], /^Usage: /gm],
      [['--version'], /^\d+\.\d+\.\d+/gm],
      [['info'], /^MPI: .*this process was started by mpiexec/gm],
    ] as const) {
      const { code, out } = await launch(one, 2, ['bin/kernelgrad.js', ...args]).ended
      assert.is(code, 0, out)
      assert.is(out.match(says)?.length, 1, out)
    }
  })

const mpich = launchers.find(({ name }) => name === 'MPICH')
;(mpich ? test : test.skip)(
  'a program between mpiexec and ours that keeps their line to itself is told of; by a port it goes',
  async () => {
    const between = `process.exit(require('node:child_process').spawnSync(process.execPath, ${JSON.stringify(['bin/kernelgrad.js', 'evaluate', '--model', folder, '--data', data.test])}, { stdio: 'inherit' }).status)`
    const { code, out } = await launch(mpich!, 2, ['-e', between]).ended
    assert.is.not(code, 0)
    assert.match(out, /file descriptor \d+ \(PMI_FD\), by which they speak, is closed: npx, npm/)
    assert.is(errorsOf(out).length, 1, out)
    const port = { ...mpich!, args: [...mpich!.args, '-pmi-port'] }
    const joined = await launch(port, 2, ['-e', between]).ended
    // All have met, and rank 0 tells what is wrong with the folder.
    assert.match(joined.out, /cannot read .*config\.json/)
    assert.is(errorsOf(joined.out).length, 1, joined.out)
  },
)

test.run()
