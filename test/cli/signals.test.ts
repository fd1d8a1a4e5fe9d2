// What ends a process from outside: signals, and listeners that have gone. What is saved then, what is left, and the exit code.
// Waits for CI: it ends and starts dozens of processes
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet } from '../../src/data/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { files, modelJson, TRAINER } from '../support/small-run.ts'
import { kernelgrad } from './capture.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-signals-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (...names: string[]) => join(root, ...names)

function configFile(name: string, settings: object = {}): string {
  const trainer = { ...TRAINER, num_train_epochs: 1, eval_steps: 1, save_steps: 7, ...settings }
  writeFileSync(at(name), JSON.stringify({ ...modelJson, trainer }))
  return at(name)
}
const trainArgs = (config: string, out: string) => [
  'train',
  ...['--config', config, '--train', files.train, '--eval', files.test, '--out', out],
]

interface Ended {
  code: number | null
  signal: string | null
  out: string
  err: string
}

/** Runs a command in a process of its own; `heard` gets what it has told so far, and acts. */
function run(args: string[], heard: (told: string, child: ChildProcess) => void): Promise<Ended> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['bin/kernelgrad.js', ...args])
    const told = { out: '', err: '' }
    for (const [key, stream] of [
      ['out', child.stdout],
      ['err', child.stderr],
    ] as const)
      stream.on('data', text => {
        told[key] += text
        heard(told.out + told.err, child)
      })
    child.on('close', (code, signal) => resolve({ code, signal, ...told }))
  })
}

/** Sends the signals, one each time the next pattern has been told. */
function press(...steps: [RegExp, NodeJS.Signals][]) {
  const left = [...steps]
  return (told: string, child: ChildProcess) => {
    if (left[0]?.[0].test(told)) child.kill(left.shift()![1])
  }
}

const weights = (path: string) => readFileSync(join(path, 'model.safetensors'))
const CODES = { SIGTERM: 143, SIGHUP: 129 } as const
// The others differ by a number, or by which of two streams is closed.
const everything = process.env.CI === 'true'
if (!everything) console.log('skip: the second signal and stream of each command; set CI=true')
const some = <T>(all: readonly T[], few = 1): readonly T[] => (everything ? all : all.slice(0, few))

test('SIGTERM and SIGHUP save as Ctrl-C does, and --resume ends with the weights of a straight run', async () => {
  const config = configFile('straight.json')
  const straight = await kernelgrad(...trainArgs(config, at('straight')))
  assert.is(straight.code, 0, straight.err)
  for (const [signal, code] of some(Object.entries(CODES))) {
    const out = at(signal)
    const ended = await run(trainArgs(config, out), press([/^step 2, epoch/m, signal as NodeJS.Signals]))
    assert.is(ended.code, code, ended.err)
    assert.match(
      ended.err,
      new RegExp(`interrupted by ${signal}: saving after this step; a second signal exits at once`),
    )
    const [, step] =
      /interrupted after step (\d+) of 7; .*is saved, --resume goes on from it/.exec(ended.err) ?? []
    assert.equal(readdirSync(out).sort(), [`checkpoint-${step}`, 'training_args.json'])
    const resumed = await kernelgrad(...trainArgs(config, out), '--resume')
    assert.is(resumed.code, 0, resumed.err)
    assert.ok(weights(out).equals(weights(at('straight'))))
  }
})

test('a second signal ends at once, and leaves no lock and nothing half written', async () => {
  const config = configFile('impatient.json', { gradient_accumulation_steps: 1000, num_train_epochs: 500 })
  const out = at('impatient')
  const ended = await run(
    trainArgs(config, out),
    press([/rows to train on/, 'SIGTERM'], [/saving after this step/, 'SIGHUP']),
  )
  assert.is(ended.code, 129, ended.err)
  assert.not.match(ended.err, /interrupted after/)
  assert.equal(readdirSync(out), ['training_args.json'])
})

test('a signal before the training saves nothing, and gives the folder back', async () => {
  const out = at('early')
  const ended = await run(trainArgs(configFile('early.json'), out), press([/^adapter: /m, 'SIGTERM']))
  // It may have been heard after the trainer took over: then it ends after the first step.
  assert.is(ended.code, 143, ended.err)
  assert.not(existsSync(join(out, '.lock')))
})

test('predict and evaluate end with the signal’s code, and no file on the way is left', async () => {
  const { train } = await writeSyntheticKdd({ folder: at('many'), trainRows: 12_000, testRows: 10, seed: 4 })
  mkdirSync(at('out'))
  writeFileSync(at('out', 'p.parquet'), 'older')
  const score = (command: string) => [
    command,
    '--model',
    at('straight'),
    '--data',
    train,
    '--batch-size',
    '16',
  ]
  for (const [signal, code] of some(Object.entries({ SIGHUP: 129, SIGTERM: 143, SIGINT: 130 }))) {
    const ended = await run(
      [...score('predict'), '--out', at('out', 'p.parquet')],
      press([/^adapter: /m, signal as NodeJS.Signals]),
    )
    assert.equal([ended.code, ended.signal], [code, null], ended.err)
    assert.equal(readdirSync(at('out')), ['p.parquet'])
    assert.is(readFileSync(at('out', 'p.parquet'), 'utf8'), 'older')
  }
  const ended = await run(score('evaluate'), press([/^adapter: /m, 'SIGTERM']))
  assert.is(ended.code, 143)
  // A kill leaves the file on the way, and the next run clears it.
  const waits = setInterval(() => {
    if (readdirSync(at('out')).length > 1) killed?.kill('SIGKILL')
  }, 1)
  let killed: ChildProcess | undefined
  await run([...score('predict'), '--out', at('out', 'p.parquet')], (_, child) => {
    killed = child
  })
  clearInterval(waits)
  assert.is(readdirSync(at('out')).length, 2)
  const { code, err } = await kernelgrad(
    'predict',
    '--model',
    at('straight'),
    '--data',
    files.test,
    '--out',
    at('out', 'p.parquet'),
  )
  assert.is(code, 0, err)
  assert.equal(readdirSync(at('out')), ['p.parquet'])
  assert.is((await openParquet(at('out', 'p.parquet'))).rows, 61)
})

/** Runs a command whose stdout or stderr has a reader that goes after the first line, or at once. */
function unheard(args: string[], wiring: string): { status: number | null; err: string } {
  const command = `node bin/kernelgrad.js ${args.join(' ')}`
  const { status, stderr } = spawnSync(
    'bash',
    ['-c', `set -o pipefail; ${wiring.replace('COMMAND', command)}`],
    {
      encoding: 'utf8',
    },
  )
  return { status, err: stderr }
}

test('a listener that has gone stops no work: the exit code says how that went', async () => {
  const config = configFile('unheard.json', { logging_steps: 1 })
  const wirings = [
    'COMMAND | head -1',
    'COMMAND --json 2>&1 >/dev/null | head -1',
    'COMMAND 2>&1 | true',
    'COMMAND --json | head -1',
  ]
  for (const [i, wiring] of some(wirings, 2).entries()) {
    const out = at(`unheard${i}`)
    const { status, err } = unheard(trainArgs(config, out), wiring)
    assert.is(status, 0, err)
    assert.ok(weights(out).equals(weights(at('straight'))), wiring)
    assert.ok(existsSync(join(out, 'report.html')))
  }
  const predict = ['predict', '--model', at('straight'), '--data', files.test]
  for (const wiring of some(['COMMAND 2>&1 | true', 'COMMAND | true'])) {
    const out = at('unheard.parquet')
    assert.is(unheard([...predict, '--out', out], wiring).status, 0)
    assert.is((await openParquet(out)).rows, 61)
    rmSync(out)
  }
  // What fails still fails.
  assert.is(
    unheard(['evaluate', '--model', at('none'), '--data', files.test], 'COMMAND 2>&1 | true').status,
    1,
  )
  // A result that was asked for and lost is a failure.
  const full = unheard(
    ['evaluate', '--model', at('straight'), '--data', files.test, '--json'],
    'COMMAND > /dev/full',
  )
  assert.is(full.status, 1)
  assert.match(full.err, /error: the output could not be written: no space left on the device\n$/)
})

test.run()
