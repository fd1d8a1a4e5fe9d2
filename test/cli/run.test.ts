import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CommandSpec, wholeNumber } from '../../src/cli/command.ts'
import { createProgress, formatSeconds } from '../../src/cli/progress.ts'
import { runCli } from '../../src/cli/run.ts'
import { formatTable } from '../../src/cli/table.ts'
import { ConfigError, UsageError } from '../../src/errors.ts'

/** A command line with one command, `act`, whose body is `run`; counts how often the body was loaded. */
async function cli(
  args: string[],
  run: (options: Record<string, unknown>) => Promise<number | undefined> = async () => undefined,
  env: Record<string, string> = {},
) {
  let [out, err, loads] = ['', '', 0]
  const spec: CommandSpec = {
    name: 'act',
    description: 'does a thing',
    arguments: [{ name: 'folder', description: 'where' }],
    options: [
      { flags: '--rows <count>', description: 'how many', default: 7, parse: wholeNumber(1) },
      { flags: '--out <folder>', description: 'to where', required: true },
      { flags: '--mode <mode>', description: 'how', choices: ['fast', 'slow'] },
      { flags: '--json', description: 'as JSON' },
    ],
    example: 'kernelgrad act here --out there',
    load: async () => {
      loads++
      return { run: options => run(options as Record<string, unknown>) }
    },
  }
  const code = await runCli(args, {
    commands: [spec],
    version: '1.2.3',
    env,
    out: text => {
      out += text
    },
    err: text => {
      err += text
    },
  })
  return { code, out, err, loads }
}
const fails = (error: unknown) => async () => {
  throw error
}
const GOOD = ['act', 'here', '--out', 'there']

test('options and arguments reach the body', async () => {
  let got: unknown
  const { code, err } = await cli([...GOOD, '--rows', '12', '--json', '--mode', 'slow'], async options => {
    got = options
    return undefined
  })
  assert.equal([code, err], [0, ''])
  assert.equal(got, { folder: 'here', out: 'there', rows: 12, json: true, mode: 'slow' })
  await cli(GOOD, async options => {
    got = options
    return undefined
  })
  assert.equal(got, { folder: 'here', out: 'there', rows: 7 })
})

test('the body sets the exit code', async () => {
  assert.is((await cli(GOOD, async () => 1)).code, 1)
  assert.is((await cli(GOOD, async () => 0)).code, 0)
})

test('help and version load no body', async () => {
  const help = await cli(['--help'])
  assert.equal([help.code, help.loads, help.err], [0, 0, ''])
  assert.match(help.out, /act .*does a thing/)
  assert.match((await cli(['act', '--help'])).out, /--rows <count>\s+how many \(default: 7\)/)
  assert.equal((await cli(['--version'])).out, '1.2.3\n')
})

const misuse: [string, string[], RegExp][] = [
  ['no command', [], /Usage: kernelgrad/],
  ['unknown command', ['fly'], /error: unknown command 'fly'/],
  ['unknown option', [...GOOD, '--fast'], /error: unknown option '--fast'/],
  ['missing argument', ['act', '--out', 'x'], /error: missing required argument 'folder'/],
  ['argument too many', [...GOOD, 'more'], /error: too many arguments/],
  ['missing option', ['act', 'here'], /error: required option '--out <folder>' not specified/],
  [
    'a required option misspelt',
    ['act', 'here', '--oot', 'x'],
    /error: required option '--out <folder>' not specified\nerror: unknown option '--oot'; did you mean --out\?\n$/,
  ],
  ['missing value', ['act', 'here', '--out'], /error: option '--out <folder>' argument missing/],
  ['unknown choice', [...GOOD, '--mode', 'odd'], /argument 'odd' is invalid. Allowed choices are fast, slow/],
  [
    'no number',
    [...GOOD, '--rows', '1.5'],
    /^error: option '--rows <count>': expected a whole number of at least 1, got '1\.5'\n$/,
  ],
  ['number too small', [...GOOD, '--rows', '0'], /at least 1, got '0'/],
]
for (const [name, args, message] of misuse) {
  test(`exit code 2: ${name}`, async () => {
    const { code, err, out, loads } = await cli(args)
    assert.equal([code, out, loads], [2, '', 0])
    assert.match(err, message)
    assert.not.match(err, /\n\s+at /)
  })
}

test('failures are one line, and surprises tell how to see more', async () => {
  const own = await cli(GOOD, fails(new ConfigError('c.json: unknown key "x"')))
  assert.equal([own.code, own.err, own.out], [1, 'error: c.json: unknown key "x"\n', ''])
  const usage = await cli(GOOD, fails(new UsageError('give --train or --data')))
  assert.equal([usage.code, usage.err], [2, 'error: give --train or --data\n'])
  const surprise = await cli(GOOD, fails(new TypeError('x is undefined')))
  assert.is(surprise.code, 1)
  assert.match(surprise.err, /^error: x is undefined\nhint: set KERNELGRAD_DEBUG=1 or pass --stack/)
  assert.match((await cli(GOOD, fails('a string'))).err, /^error: a string\n/)
})

test('the stack trace is printed when asked for, cause included', async () => {
  const error = new ConfigError('outer', { cause: new Error('inner') })
  for (const shown of [
    await cli([...GOOD, '--stack'], fails(error)),
    await cli(['--stack', ...GOOD], fails(error)),
    await cli(GOOD, fails(error), { KERNELGRAD_DEBUG: '1' }),
  ]) {
    assert.is(shown.code, 1)
    assert.match(shown.err, /^error: outer\nConfigError: outer\n\s+at [\s\S]*caused by: Error: inner\n\s+at /)
  }
  assert.is((await cli(GOOD, fails(error), { KERNELGRAD_DEBUG: '0' })).err, 'error: outer\n')
})

test('the installed command runs', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['bin/kernelgrad.js', ...args], { encoding: 'utf8' })
  assert.equal([run('--version').status, run('--version').stdout], [0, `${version}\n`])
  assert.is(run('fly').status, 2)
})

test('info names the adapter and its limits, and the process ends', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['bin/kernelgrad.js', 'info', '--adapter', 'embedded', ...args], {
      encoding: 'utf8',
    })
  const { status, stdout, stderr } = run('--json')
  assert.equal([status, stderr], [0, ''])
  const told = JSON.parse(stdout)
  assert.is(told.kind, 'embedded software')
  assert.ok(told.limits.maxStorageBufferBindingSize >= 2 ** 27)
  assert.match(run().stdout, /^adapter: .*\nfeatures in use: .*\n\nlimit +value\n[\s\S]*\nMPI: .*\n$/)
  // Libraries by name and version, or what is missing and how to get it.
  if (told.mpi.libraries.length) assert.match(told.mpi.libraries[0].version, /^(Open MPI|MPICH) v?\d/)
  else assert.match(told.mpi.trouble, /npm install koffi|apt install/)
})

test('an unbuilt checkout says what to run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-cli-'))
  mkdirSync(join(folder, 'bin'))
  copyFileSync('bin/kernelgrad.js', join(folder, 'bin/kernelgrad.mjs'))
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin/kernelgrad.mjs')], {
    encoding: 'utf8',
  })
  rmSync(folder, { recursive: true })
  assert.equal([status, stderr], [1, 'error: kernelgrad is not built; run `npm run build` first\n'])
})

test('a reader that closes the pipe is no failure', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-cli-'))
  // The reader is gone before node starts, so the first write meets a closed pipe.
  const script = `mkfifo pipe; true <pipe & exec 3>pipe; wait; cd "$OLDPWD"
    node bin/kernelgrad.js --help >&3; echo "code $?" >&2`
  const { stderr } = spawnSync('bash', ['-c', `cd '${folder}' && ${script}`], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  assert.is(stderr, 'code 0\n')
})

test('tables align numbers to the right and words to the left', () => {
  const table = formatTable(
    ['kernel', 'ms', 'note'],
    [
      ['matmul', 12.5, ''],
      ['gelu', '0.250', 'fused'],
      ['softmax', 'n/a', 'x'],
    ],
  )
  assert.is(
    table,
    [
      'kernel      ms  note',
      '-------  -----  -----',
      'matmul    12.5',
      'gelu     0.250  fused',
      'softmax    n/a  x',
    ].join('\n'),
  )
  assert.is(formatTable(['a'], []), 'a\n-')
})

/** A stream that keeps what is written. */
function sink(isTTY = false) {
  const written: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY, columns: 120 }), written }
}

test('progress is a line every five seconds where there is no terminal', () => {
  const { stream, written } = sink()
  let time = 0
  const progress = createProgress({ total: 100, label: 'train', stream, now: () => time })
  for (const done of [1, 20, 30, 40, 99]) {
    time += 2000
    progress.update({
      done,
      rows: 64 * done,
      totalRows: 6400,
      loss: 0.5,
      auc: done > 30 ? 0.71249 : undefined,
    })
    if (done === 30) progress.note('evaluated')
  }
  progress.stop()
  assert.equal(written, [
    'train 30/100  loss 0.5000  320 rows/s  14s left\n',
    'evaluated\n',
    'train 99/100  loss 0.5000  auc 0.712  634 rows/s  0s left\n',
  ])
})

test('speed and time left are those of this run, not of the one it goes on from', () => {
  const { stream, written } = sink()
  let time = 0
  const progress = createProgress({ total: 100, label: 'step', stream, now: () => time })
  time = 10_000
  progress.update({ done: 60, rows: 6000, startRows: 4000, totalRows: 10_000 })
  progress.stop()
  assert.equal(written, ['step 60/100  200 rows/s  20s left\n'])
})

test('progress on a terminal is a bar', () => {
  const tty = sink(true)
  const progress = createProgress({ total: 4, label: 'train', stream: tty.stream })
  progress.update({ done: 2, rows: 20, totalRows: 40, loss: 0.25, auc: Number.NaN })
  progress.note('evaluated')
  progress.stop()
  assert.match(tty.written.join(''), /train .*2\/4 {2}loss 0\.2500/)
  assert.not.match(tty.written.join(''), /auc|NaN/, 'a figure that does not exist is not shown')
  const [, after] = tty.written.join('').split('\r\x1b[Kevaluated\n')
  assert.match(after!, /train .*2\/4 {2}loss 0\.2500/, 'the bar is drawn again below the note')
})

test('durations are short', () => {
  assert.equal([0.4, 59.4, 185, 7620].map(formatSeconds), ['0s', '59s', '3m05s', '2h07m'])
})

test.run()
