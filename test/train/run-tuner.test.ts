// Forms that a run times by itself, with a clock that moves only where the test says so, on a device that computes nothing.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { candidates, collectShapes, type MatmulShape, matmul } from '../../src/kernels/matmul.ts'
import { shapeClass } from '../../src/kernels/matmul-forms.ts'
import { choicesOf } from '../../src/kernels/tuning.ts'
import { RunTuner } from '../../src/train/run-tuner.ts'
import { openRecordingGpu } from '../support/recording-gpu.ts'

const cache = mkdtempSync(join(tmpdir(), 'kernelgrad-run-tuner-'))
process.env.XDG_CACHE_HOME = cache
process.env.KERNELGRAD_TUNING = 'on'

const LARGE: MatmulShape = { M: 64, N: 256, K: 128, layout: 'NT' }
const SMALL: MatmulShape = { M: 16, N: 32, K: 64, layout: 'NN' }

interface Told {
  /** Milliseconds of a pass. */
  passMs?: number
  /** Of compiling a form. */
  compileMs?: number
  /** Milliseconds of a form. */
  ms?: (form: string, builtIn: boolean) => number
  gpu?: Gpu
}

const open = () =>
  openRecordingGpu({ forms: 'system', features: ['subgroups'], subgroups: { least: 8, most: 8 } }).gpu

function makeTuner({
  passMs = 1000,
  compileMs = 10,
  ms = (_, builtIn) => (builtIn ? 10 : 5),
  gpu = open(),
}: Told = {}) {
  let time = 0
  const seen = { passes: 0, timed: [] as string[], warnings: [] as string[] }
  const state = { kernel_choices: {}, kernel_tuning: { settled: 0, kept_for_later: 0, seconds: 0 } }
  const compiled = new Set<string>()
  const shapeOf = (run: () => void) => JSON.stringify(collectShapes(gpu, run))
  const builtIns = new Set([LARGE, SMALL].map(shape => candidates(gpu, shape)[0]))
  const tuner = new RunTuner({
    gpu,
    state,
    warn: message => seen.warnings.push(message),
    now: () => time,
    measure: async (_, run, count, form) => {
      if (!compiled.has(form + shapeOf(run))) time += compileMs
      compiled.add(form + shapeOf(run))
      seen.timed.push(form)
      const took = count * ms(form, builtIns.has(form))
      time += took
      return took
    },
  })
  const pass = () => {
    seen.passes++
    time += passMs
    return [SMALL, LARGE]
  }
  return { tuner, state, seen, gpu, pass, wait: (ms: number) => (time += ms), spent: () => time }
}

const forget = () => rmSync(join(cache, 'kernelgrad'), { recursive: true, force: true })
test.before.each(forget)

test('before the first step of a long run, forms are chosen, taken, noted and kept', async () => {
  const { tuner, state, seen, gpu, pass, spent } = makeTuner()
  await tuner.settle(1000, pass)
  assert.is(seen.passes, 2)
  const classes = [LARGE, SMALL].map(shapeClass)
  assert.equal(Object.keys(state.kernel_choices), classes, 'the most work first')
  assert.equal(choicesOf(gpu), state.kernel_choices)
  for (const [i, shape] of [LARGE, SMALL].entries()) {
    const [builtIn, ...others] = candidates(gpu, shape)
    const form = choicesOf(gpu)[classes[i]!]!
    assert.is.not(form, builtIn)
    assert.ok(others.includes(form))
  }
  assert.is(state.kernel_tuning.settled, 2)
  assert.is(state.kernel_tuning.seconds, spent() / 1000)
  assert.equal(choicesOf(open()), state.kernel_choices, 'the next device finds them')
  assert.equal(seen.warnings, [])
  const next = makeTuner()
  assert.equal(choicesOf(next.gpu), state.kernel_choices)
  Object.assign(next.state.kernel_choices, choicesOf(next.gpu))
  await next.tuner.settle(1000, next.pass)
  assert.equal(next.seen.timed, [], 'nothing is left to time')
})

test('a short run is left alone', async () => {
  const few = makeTuner()
  await few.tuner.settle(399, few.pass)
  assert.is(few.seen.passes, 0)
  assert.is(few.state.kernel_tuning.seconds, 0)
  const quick = makeTuner({ passMs: 20 }) // 1,000 of them are 20 s: 0.2 s to spend
  await quick.tuner.settle(1000, quick.pass)
  assert.is(quick.seen.passes, 1)
  assert.equal(quick.seen.timed, [])
  assert.equal(choicesOf(quick.gpu), {})
  assert.is(quick.state.kernel_tuning.settled, 0)
})

test('timing ends before a hundredth of what the run will take is spent; a class that was not finished has no choice', async () => {
  for (const compileMs of [10, 100, 300, 700, 1500]) {
    forget()
    const { tuner, state, pass, spent } = makeTuner({ compileMs })
    await tuner.settle(400, pass) // 400 s: 4 s to spend, 2 of them for the passes
    // What a first form costs is known once it is timed.
    assert.ok(spent() <= 4000 + Math.max(compileMs - 1000, 0) + 20, `${spent()} ms, ${compileMs} a form`)
    assert.is(state.kernel_tuning.settled, Object.keys(state.kernel_choices).length)
    if (compileMs >= 300) assert.equal(state.kernel_choices, {})
    if (compileMs <= 100) assert.ok(shapeClass(LARGE) in state.kernel_choices)
  }
})

test('what a run finds later is for the next one, bit by bit within its share of the time', async () => {
  const { tuner, state, seen, gpu, wait, spent } = makeTuner({ compileMs: 900 })
  const views = [LARGE.M * LARGE.K, LARGE.N * LARGE.K, LARGE.M * LARGE.N].map(n => gpu.acquire(4 * n))
  const [a, b, c] = views as [(typeof views)[0], (typeof views)[0], (typeof views)[0]]
  matmul(gpu, { ...LARGE, a, b, c }) // the run meets it
  await tuner.later()
  assert.equal(seen.timed, [], 'nothing to spend yet')
  wait(49_000)
  await tuner.later()
  assert.equal(seen.timed, [], '0.98 s to spend')
  wait(1000)
  await tuner.later()
  assert.is(new Set(seen.timed).size, 1, 'one form')
  for (let i = 0; i < 10 && !state.kernel_tuning.kept_for_later; i++) {
    wait(50_000)
    await tuner.later()
    assert.ok(state.kernel_tuning.seconds * 1000 <= 0.02 * spent() + 1, 'never more than its share')
  }
  assert.is(state.kernel_tuning.settled, 0)
  assert.is(state.kernel_tuning.kept_for_later, 1)
  assert.equal([choicesOf(gpu), state.kernel_choices], [{}, {}], 'this run goes on as it began')
  assert.equal(Object.keys(choicesOf(open())), [shapeClass(LARGE)])
  const { length } = seen.timed
  wait(1e6)
  await tuner.later()
  assert.is(seen.timed.length, length, 'and is timed once')
})

test('the built-in form is noted too where nothing beats it', async () => {
  const { tuner, state, gpu, pass } = makeTuner({ ms: () => 10 })
  await tuner.settle(1000, pass)
  for (const shape of [LARGE, SMALL])
    assert.is((state.kernel_choices as Record<string, string>)[shapeClass(shape)], candidates(gpu, shape)[0])
})

test('a form that does not run is told of and passed over; any other error ends the run', async () => {
  const refused = makeTuner()
  const bad = candidates(refused.gpu, LARGE)[1]!
  const failing = (error: () => Error) =>
    makeTuner({
      gpu: refused.gpu,
      ms: (form, builtIn) => {
        if (form === bad) throw error()
        return builtIn ? 10 : 5
      },
    })
  const { tuner, state, seen, pass } = failing(() => new DeviceError('no such instruction'))
  await tuner.settle(1000, pass)
  assert.ok(
    seen.warnings.every(warning => warning.includes(`'${bad}'`) && /no such instruction/.test(warning)),
  )
  assert.ok(seen.warnings.length > 0)
  assert.not(Object.values(state.kernel_choices).includes(bad))
})

test('switched off, and with what is stored alone, nothing is timed', async () => {
  for (const setting of ['off', 'stored']) {
    process.env.KERNELGRAD_TUNING = setting
    const { tuner, seen, pass, wait } = makeTuner()
    await tuner.settle(1e6, pass)
    wait(1e9)
    await tuner.later()
    assert.equal([seen.passes, seen.timed], [0, []])
  }
  process.env.KERNELGRAD_TUNING = 'on'
})

test('choices that cannot be kept are taken, and told of', async () => {
  const blocked = join(cache, 'blocked')
  writeFileSync(blocked, 'a file')
  process.env.XDG_CACHE_HOME = blocked
  const { TMPDIR } = process.env
  process.env.TMPDIR = blocked
  try {
    const { tuner, state, seen, pass } = makeTuner()
    await tuner.settle(1000, pass)
    assert.is(state.kernel_tuning.settled, 2)
    assert.is(seen.warnings.length, 1)
    assert.match(
      seen.warnings[0]!,
      /what was measured cannot be kept .*; later runs will time the same again/,
    )
  } finally {
    process.env.XDG_CACHE_HOME = cache
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
    chmodSync(blocked, 0o600)
  }
})

test.after(() => rmSync(cache, { recursive: true }))
test.run()
