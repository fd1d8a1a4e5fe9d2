// Waits for CI: it runs every part of the acceptance run, and makes a bundle
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StepLaunches } from '../../bench/accept/launches.ts'
import { PARTS } from '../../bench/accept/parts.ts'
import type { Acceptance } from '../../bench/accept/run.ts'
import { frozenLosses, frozenWork, type StepRow } from '../../bench/accept/steps.ts'
import type { Claim, TestFile } from '../../bench/accept/tests.ts'
import { problemsOf } from '../../bench/accept/verdict.ts'
import type { Peaks } from '../../bench/peaks.ts'

// Seen from dist/test/bench.
const main = fileURLToPath(new URL('../../bench/accept/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-accept-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const read = (out: string): Acceptance => JSON.parse(readFileSync(join(out, 'gpu-accept.json'), 'utf8'))

test('a quick run measures every part, all claims hold, and the page loads nothing', () => {
  const out = join(folder, 'quick')
  const told = spawnSync(process.execPath, [main, '--quick', '--out', out], { encoding: 'utf8' })
  assert.is(told.status, 0, told.stdout + told.stderr)
  const { parts, problems } = read(out)
  assert.equal(problems, [])
  assert.equal(
    Object.keys(parts),
    PARTS.map(({ name }) => name),
  )
  const result = <T>(name: string) => parts[name]!.result as T
  const { kind, features, limits } = result<{ kind: string; features: string[]; limits: GPUSupportedLimits }>(
    'adapter',
  )
  assert.ok(kind.endsWith('software') || kind === 'hardware')
  assert.ok(features.length > 0 && limits.maxBufferSize > 0)
  assert.is(result<{ steps: number }>('losses').steps, 10)
  assert.ok(result<Peaks>('peaks').gflops > 0)
  const [launched] = result<{ steps: StepLaunches[] }>('launches').steps
  for (const { ms, floorMs, modelMs } of launched!.rows)
    assert.ok(ms! >= 0 && floorMs > 0 && modelMs > floorMs)
  const [row] = result<{ rows: StepRow[] }>('steps').rows
  assert.ok('recordMs' in row! && row.recordMs > 0)
  assert.ok(result<{ dispatches: number }>('catch-up').dispatches > 0)
  assert.ok(result<{ pipelines: object[] }>('compile').pipelines.length > 20)
  assert.ok(result<{ classes: object[] }>('tuned').classes.length > 0)
  assert.ok(result<{ claims: Claim[] }>('claims').claims.every(({ holds }) => holds))
  assert.ok(result<{ files: TestFile[] }>('tests').files.every(({ passed }) => passed > 0))
  const page = readFileSync(join(out, 'gpu-accept.html'), 'utf8')
  for (const { what } of PARTS) assert.ok(page.includes(what), what)
  assert.not.match(page, /\b(src|href)=|@import|url\(/)
})

test('the frozen losses are of 200 batches, and fall', () => {
  const losses = frozenLosses()
  assert.is(losses.length, 200)
  assert.is(frozenWork(3).work.batches.length, 3)
  assert.ok(losses.at(-1)! < 0.8 * losses[0]!)
})

test('Ctrl-C keeps what was measured', async () => {
  const out = join(folder, 'stopped')
  const child = spawn(process.execPath, [main, '--quick', '--out', out], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let [told, stopped] = ['', false]
  child.stdout.setEncoding('utf8').on('data', text => {
    told += text
    if (stopped || !told.includes('[2 of ')) return
    // Once: a second one ends it where it is.
    stopped = true
    child.kill('SIGINT')
  })
  const code = await new Promise(resolve => child.on('close', resolve))
  assert.is(code, 130, told)
  const { parts, problems } = read(out)
  assert.is(parts.adapter!.status, 'done')
  assert.is(parts.losses!.status, 'interrupted')
  assert.is(parts.tests!.status, 'not begun')
  assert.ok(problems.some(problem => problem.startsWith('losses: interrupted')))
})

test('a part that runs out of time is told by name and stops no other', () => {
  const out = join(folder, 'late')
  // The process of the part never gets to it, on however fast a machine.
  const hang = join(folder, 'hang.mjs')
  writeFileSync(
    hang,
    `const { argv } = process
if (argv[argv.indexOf('--part') + 1] === 'steps') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`,
  )
  const env = { ...process.env, NODE_OPTIONS: `--import ${pathToFileURL(hang)}` }
  const args = [main, '--quick', '--only', 'steps', '--only', 'tests', '--minutes', '0.03', '--out', out]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  assert.is(status, 1, stdout)
  const { parts, problems } = read(out)
  assert.is(parts.steps!.status, 'out of time')
  assert.is(problems.length, Object.values(parts).filter(({ status }) => status !== 'done').length)
})

test('a claim that does not hold, a failed test and a loss that is off are problems by name', () => {
  const done = (result: object) => ({ status: 'done' as const, seconds: 1, result })
  const file = { file: 'kernels/x.test.js', passed: 1, total: 2, skipped: 0, failed: ['a name'], seconds: 1 }
  const problems = problemsOf({
    adapter: { status: 'failed', seconds: 1, error: 'no WebGPU adapter\nat' },
    losses: done({ holds: false, worst: { early: 1, late: 2 }, bound: { early: 0.1, late: 0.2 } }),
    claims: done({ claims: [{ claim: 'to the bit', holds: false, ...file }] }),
    tests: done({ files: [file, { ...file, failed: [] }] }),
  })
  assert.is(problems.length, 4)
  for (const [i, word] of ['no WebGPU adapter', 'losses', 'to the bit', 'a name'].entries())
    assert.ok(problems[i]!.includes(word), problems[i])
})

test('a wrong call is exit code 2', () => {
  const file = fileURLToPath(import.meta.url)
  for (const args of [
    ['--fast'],
    ['--only', 'nothing'],
    ['--minutes', '0'],
    ['--bundle', '.'],
    ['--bundle', file],
    ['--bundle', '/proc/none'],
    ['--out', file],
    ['--out', '/proc/none'],
  ]) {
    if (args[1]?.startsWith('/proc') && process.platform !== 'linux') continue
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    assert.is(status, 2, args.join(' '))
    assert.match(stderr, /^error: /)
  }
})

if (process.platform === 'win32') console.log('skip: bundles are made on Linux and macOS only')
;(process.platform === 'win32' ? test.skip : test)(
  'a bundle below 60 MB runs where there is no node and no package above it',
  () => {
    const [made, copy] = [join(folder, 'bundle'), join(folder, 'elsewhere')]
    const told = execFileSync(process.execPath, [main, '--bundle', made], { encoding: 'utf8' })
    assert.ok(Number(/: ([\d.]+) MB/.exec(told)![1]) < 60, told)
    cpSync(made, copy, { recursive: true })
    rmSync(made, { recursive: true })
    assert.not.ok(existsSync(join(folder, 'node_modules')))
    const { status, stdout, stderr } = spawnSync(
      join(copy, 'start.sh'),
      [
        '--quick',
        '--only',
        'adapter',
        '--only',
        'losses',
        '--only',
        'claims',
        '--only',
        'tests',
        '--out',
        copy,
      ],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', HOME: folder, KERNELGRAD_ADAPTER: process.env.KERNELGRAD_ADAPTER },
      },
    )
    assert.is(status, 0, stdout + stderr)
    assert.is(read(copy).parts.tests!.status, 'done')
    const left = readdirSync(copy, { recursive: true }).filter(file => /\.\d+$/.test(String(file)))
    assert.equal(left, [])
  },
)

test.run()
