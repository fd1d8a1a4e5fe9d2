// Measured choices of kernel forms: kept on disk by adapter and version, taken instead of the built-in ones.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import { candidates, collectShapes, type MatmulShape, matmul } from '../../src/kernels/matmul.ts'
import { shapeClass } from '../../src/kernels/matmul-forms.ts'
import { tuneClass, tuneMatmul } from '../../src/kernels/matmul-tuning.ts'
import {
  choicesOf,
  keepChoices,
  measuredChoices,
  setChoices,
  storeChoices,
} from '../../src/kernels/tuning.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { seeded } from '../support/gpu.ts'

const cache = mkdtempSync(join(tmpdir(), 'kernelgrad-tuning-'))
const [oldCache, oldSetting] = [process.env.XDG_CACHE_HOME, process.env.KERNELGRAD_TUNING]
const gpu = await openGpu() // before the cache moves: the embedded adapter is unpacked there

/** The file that choices are kept in. */
const file = () => {
  const folder = join(cache, 'kernelgrad')
  return join(folder, readdirSync(folder).find(name => name.startsWith('tuning-'))!)
}

/** Runs with a device of its own and KERNELGRAD_TUNING set. */
async function withSetting(setting: string, body: (gpu: Gpu) => Promise<void> | void): Promise<void> {
  process.env.XDG_CACHE_HOME = cache
  process.env.KERNELGRAD_TUNING = setting
  try {
    await body(gpu)
  } finally {
    restore('XDG_CACHE_HOME', oldCache)
    restore('KERNELGRAD_TUNING', oldSetting)
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

/** The same adapter as another device sees it, which has read nothing yet. */
const fresh = (): Gpu => Object.create(gpu) as Gpu

const SHAPE: MatmulShape = { M: 33, N: 20, K: 24, layout: 'NT' }

test('choices are kept for the next device on the same adapter, version and processor, and for no other', () =>
  withSetting('on', async () => {
    const first = fresh()
    assert.equal(choicesOf(first), {})
    assert.is(await storeChoices(first, { a: '4x4', b: '8x8' }), file())
    await storeChoices(first, { b: '1x4' })
    assert.equal(choicesOf(fresh()), { a: '4x4', b: '1x4' })
    assert.is(measuredChoices(fresh()).get('b'), '1x4')
    const stored = JSON.parse(readFileSync(file(), 'utf8'))
    writeFileSync(file(), JSON.stringify({ ...stored, version: '0.0.0' }))
    assert.equal(choicesOf(fresh()), {}, 'another version')
    writeFileSync(file(), JSON.stringify({ ...stored, adapter: 'another' }))
    assert.equal(choicesOf(fresh()), {}, 'another adapter')
    writeFileSync(file(), JSON.stringify({ ...stored, processor: 'another' }))
    assert.equal(choicesOf(fresh()), {}, 'another processor')
    assert.is(stored.processor, cpus()[0]!.model.trim())
  }))

test('what is kept for later devices changes nothing on this one', () =>
  withSetting('stored', async () => {
    const first = fresh()
    await storeChoices(first, { a: '4x4' })
    await keepChoices(first, { b: '8x8' })
    assert.equal(choicesOf(first), { a: '4x4' })
    assert.equal(choicesOf(fresh()), { a: '4x4', b: '8x8' })
  }))

test('switched off, nothing is read and nothing written', async () => {
  await withSetting('on', async () => {
    await storeChoices(fresh(), { a: '4x4' })
  })
  const before = readFileSync(file(), 'utf8')
  await withSetting('off', async () => {
    const device = fresh()
    assert.equal(choicesOf(device), {})
    assert.is(await storeChoices(device, { a: '8x8' }), undefined)
    assert.equal(choicesOf(device), { a: '8x8' }, 'in use on this device all the same')
  })
  assert.is(readFileSync(file(), 'utf8'), before)
})

test('a setting that is none and a file that is no JSON are refused', async () => {
  await withSetting('maybe', () => {
    assert.throws(() => choicesOf(fresh()), /KERNELGRAD_TUNING is 'maybe', expected 'on', 'stored' or 'off'/)
  })
  await withSetting('on', () => {
    writeFileSync(file(), '{"adapter"')
    assert.throws(() => choicesOf(fresh()), /tuning-[0-9a-f]{8}\.json .* is not valid JSON; delete it/)
    rmSync(file())
  })
})

test('tuning times the candidates of a class and its neighbours, and its choice is then taken', () =>
  withSetting('on', async () => {
    const seen: string[] = []
    const { tuned, path } = await tuneMatmul(gpu, [SHAPE], ({ shapeClass }) => seen.push(shapeClass))
    assert.is(path, file())
    assert.equal(
      seen,
      tuned.map(({ shapeClass }) => shapeClass),
    )
    assert.ok(seen.includes(shapeClass(SHAPE)), 'the class itself')
    assert.ok(seen.includes(shapeClass({ ...SHAPE, M: 64 })), 'a batch twice as long')
    for (const { form, ms, builtIn, builtInMs } of tuned) {
      assert.ok(candidates(gpu, SHAPE).includes(form) && ms > 0 && ms <= builtInMs)
      if (form !== builtIn) assert.ok(ms * 1.05 < builtInMs)
    }
    assert.is(
      measuredChoices(gpu).get(shapeClass(SHAPE)),
      tuned.find(t => t.shapeClass === shapeClass(SHAPE))!.form,
    )
  }))

/** Large enough for three forms everywhere. */
const FORMED: MatmulShape = { M: 64, N: 64, K: 256, layout: 'NN' }

/** Times a class with the milliseconds that `ms` gives each form in its rounds, from the first on. */
async function timed(ms: (form: string, round: number) => number) {
  const rounds = new Map<string, number>()
  const counts = new Map<string, number>()
  const tuned = await tuneClass(gpu, FORMED, {
    measure: async (_, run, count, form) => {
      const round = (rounds.get(form) ?? -3) + 1 // compiled, sized, and then the rounds
      rounds.set(form, round)
      counts.set(form, count)
      run()
      return count * ms(form, Math.max(round, 0))
    },
  })
  return { tuned: tuned!, rounds, counts }
}

test('a form is chosen for a gain that is more than its times, or the built-in one’s, differ among themselves', async () => {
  const [builtIn, other, third] = candidates(gpu, FORMED) as [string, string, string]
  const steady = await timed(form => (form === other ? 6 : 10))
  assert.is(steady.tuned.form, other)
  assert.equal([steady.tuned.ms, steady.tuned.builtInMs], [6, 10])
  assert.is(steady.counts.get(other), 2, 'samples of 8 ms')
  const once = await timed((form, round) => (form === other ? [6, 6, 90, 6, 6][round]! : 10))
  assert.is(once.tuned.form, other, 'other work that came between once')
  const noisy = await timed((form, round) => (form === other ? [6, 11, 6, 11, 6][round]! : 10))
  assert.is(noisy.tuned.form, builtIn, 'its own times differ by 5')
  const noise = await timed((form, round) => (form === other ? 6 : [10, 14, 10, 14, 10][round]!))
  assert.is(noise.tuned.form, builtIn, 'the built-in one’s differ by 4')
  const close = await timed(form => (form === other ? 9.6 : 10))
  assert.is(close.tuned.form, builtIn, 'less than a twentieth')
  const best = await timed(form => ({ [builtIn]: 10, [other]: 7 })[form] ?? 6)
  assert.is.not(best.tuned.form, other)
  assert.is(best.tuned.ms, 6)
  const hopeless = await timed(form => (form === third ? 30 : 10))
  assert.equal([hopeless.rounds.get(third), hopeless.rounds.get(other)], [0, 4], 'timed once')
})

test('whatever form is chosen, the product is right; a choice that cannot run is passed over', async () => {
  const { M, N, K } = SHAPE
  const [aData, bData] = [seeded(M * K, 1), seeded(N * K, 2)]
  const [a, b, c] = [gpu.from(aData), gpu.from(bData), gpu.acquire(M * N * 4)]
  const expected = reference.matmul({ a: aData, b: bData, ...SHAPE })
  for (const form of [...candidates(gpu, SHAPE), 'no such form']) {
    setChoices(gpu, { [shapeClass(SHAPE)]: form })
    gpu.upload(c, new Float32Array(M * N).fill(Number.NaN))
    const shapes = collectShapes(gpu, () => matmul(gpu, { ...SHAPE, a, b, c }))
    assert.equal(shapes, [SHAPE])
    expectClose(await gpu.readFloats({ ...c, size: M * N * 4 }), expected, 3e-6, { label: form })
  }
  setChoices(gpu, {})
  for (const view of [a, b, c]) gpu.release(view)
})

test.after(() => {
  gpu.close()
  rmSync(cache, { recursive: true })
})
test.run()
