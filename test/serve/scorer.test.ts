// Rows scored one by one, side by side and in files: the same bits. What cannot be scored fails alone, and nothing else is lost.
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import { ArgumentError, ConfigError, DeviceLostError, QueueFullError, RowError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { predictRows, type Row, Scorer, type ScorerEvent } from '../../src/serve/index.ts'
import { loadModel } from '../../src/train/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { openTestGpu } from '../support/gpu.ts'
import { type RowOf, rowsFor, saveScoring, writeRows } from '../support/score-rows.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-scorer-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (name: string) => join(root, name)
const gpu = await openTestGpu()
test.after(() => gpu.close())
await saveScoring(gpu, at('model'))
await saveScoring(gpu, at('other'), { seed: 2 })
const rows = rowsFor(41, 5)
const given = (some: readonly RowOf[]) => some as unknown as Row[]

/** What the command line says of all rows. */
async function predicted(model: string): Promise<number[]> {
  const [data, out] = [await writeRows(root, rows), at('predictions.parquet')]
  const told = await kernelgrad('predict', '--model', at(model), '--data', data, '--out', out)
  assert.is(told.code, 0, told.err)
  return (await readColumns(out, ['probability'])).probability as number[]
}
const expected = await predicted('model')

test('rows one by one, side by side and in pieces have the bits of kernelgrad predict, in order', async () => {
  const scorer = await Scorer.open(at('model'), { gpu, batch: 8 })
  const only = ({ probability }: Record<string, number>) => probability
  assert.equal((await scorer.predictRows(given(rows))).map(only), expected) // six batches
  const alone: unknown[] = []
  for (const row of rows.slice(0, 5)) alone.push((await scorer.predictRows(given([row]))).map(only)[0])
  assert.equal(alone, expected.slice(0, 5))
  const before = scorer.state()
  const sizes = [1, 3, 1, 2, 5, 1, 1, 4, 1]
  let first = 0
  const calls = sizes.map(size => {
    first += size
    return scorer.predictRows(given(rows.slice(first - size, first)))
  })
  assert.equal((await Promise.all(calls)).flat().map(only), expected.slice(0, first))
  const after = scorer.state()
  assert.is(after.calls - before.calls, sizes.length)
  assert.is(after.rows - before.rows, first)
  assert.ok(after.batches - before.batches < sizes.length, 'calls share batches')
  assert.is(after.waiting, 0)
  await scorer.close()
  const model = await loadModel(gpu, at('model'))
  assert.equal((await predictRows(model, given(rows))).map(only), expected)
  model.free()
})

test('a bad row fails its own call, and the others of its batch are answered', async () => {
  const scorer = await Scorer.open(at('model'), { gpu })
  const calls = rows.slice(0, 6).map((row, i) =>
    scorer.predictRows(given([i === 3 ? { ...row, city: 7 } : row])).then(
      ([scores]) => scores!.probability,
      error => error,
    ),
  )
  const [a, b, c, bad, ...rest] = await Promise.all(calls)
  assert.equal([a, b, c], expected.slice(0, 3))
  assert.equal(rest, expected.slice(4, 6))
  assert.instance(bad, RowError)
  assert.is(bad.message, "predictRows: row 0, field 'city': value 7, expected a whole number, 0 to 6")
  assert.is(bad.field, 'city')
  await scorer.close()
})

test('every wrong value is named by row, field, value and what was expected', async () => {
  const scorer = await Scorer.open(at('model'), { gpu })
  const [row] = rows as [RowOf]
  const wrong: [unknown, RegExp][] = [
    [{ ...row, city: 1.5 }, /row 1, field 'city': value 1.5, expected a whole number, 0 to 6/],
    [{ ...row, city: -1 }, /field 'city': value -1/],
    [{ ...row, city: Number.NaN }, /field 'city': value NaN/],
    [{ ...row, city: null }, /field 'city': value null/],
    [{ ...row, city: 'Paris' }, /field 'city': value 'Paris', .* the code that the training data has for it/],
    [{ ...row, city: [1] }, /field 'city': value an array of 1/],
    [{ ...row, depth: '2' }, /field 'depth': value '2', expected a finite float32 number/],
    [{ ...row, depth: Number.POSITIVE_INFINITY }, /field 'depth': value Infinity/],
    [{ ...row, depth: 1e39 }, /field 'depth': value 1e\+39/],
    [{ ...row, depth: null }, /field 'depth': value null/],
    [{ ...row, title: 'running shoes' }, /field 'title': value 'running shoes', .* has no tokenizer/],
    [{ ...row, title: 3 }, /field 'title': value 3, expected a list of token ids, each 0 to 39/],
    [{ ...row, title: [1, 40] }, /its element 1 is 40/],
    [{ ...row, title: [1, null] }, /its element 1 is null/],
    [{ ...row, title: ['1'] }, /its element 0 is '1'/],
    [{ ...row, title: null }, /field 'title': value null/],
    [{ ...row, title: new Array(61).fill(1), query: [] }, /field 'query, title': a text of 61 tokens, .* 60/],
    [{ ...row, depth: undefined }, /row 1 has no field 'depth', expected query, title, /],
    [{ query: [], title: [], depth: 1 }, /row 1 has no field 'city'/],
    [{ ...row, ciity: 3 }, /row 1 has a field 'ciity', which the model does not read; did you mean 'city'\?/],
    [{ ...row, Depth: 3, depth: undefined }, /a field 'Depth', .* did you mean 'depth'\?/],
    [null, /row 1 is null, expected an object/],
    ['row', /row 1 is 'row'/],
    [[1], /row 1 is an array of 1/],
    [new Map(), /row 1 is a Map/],
    [undefined, /row 1 is undefined/],
  ]
  for (const [one, message] of wrong) {
    const error = await scorer.predictRows([row, one] as unknown as Row[]).catch(error => error)
    assert.instance(error, RowError, String(message))
    assert.match(error.message, message)
    assert.is(error.row, 1)
  }
  for (const none of [[], undefined, null, {}, 'rows', { 0: row, length: 1 }])
    await scorer.predictRows(none as unknown as Row[]).then(
      () => assert.unreachable(),
      error => assert.instance(error, ArgumentError),
    )
  // What a file may hold counts: booleans, 64-bit integers, typed arrays; and the label's column may stay.
  const same = { ...row, city: BigInt(row.city), title: Uint32Array.from(row.title), label: 1 }
  assert.is((await scorer.predictRows([same]))[0]!.probability, expected[0])
  assert.is(scorer.state().waiting, 0)
  await scorer.close()
})

test('a full queue refuses, a call that is given up makes room, and close answers what it has', async () => {
  const scorer = await Scorer.open(at('model'), { gpu, batch: 2, queue: 6 })
  const first = scorer.predictRows(given(rows.slice(0, 10))) // alone, so it is taken
  const refused = await scorer.predictRows(given(rows.slice(0, 1))).catch(error => error)
  assert.instance(refused, QueueFullError)
  assert.match(refused.message, /10 rows wait to be scored, and 1 more would be over 6/)
  assert.is((await first).length, 10)
  const stop = new AbortController()
  const dropped = scorer.predictRows(given(rows.slice(0, 6)), { signal: stop.signal }).catch(error => error)
  stop.abort(new Error('gone'))
  const kept = scorer.predictRows(given(rows.slice(6, 12)))
  assert.match((await dropped).message, /gone/)
  const closing = scorer.close()
  assert.equal(
    (await kept).map(({ probability }) => probability),
    expected.slice(6, 12),
  )
  await closing
  await scorer.close()
  assert.match((await scorer.predictRows(given(rows)).catch(error => error)).message, /the scorer is closed/)
})

test('after warming up nothing is compiled any more', async () => {
  const own = await openTestGpu()
  const scorer = await Scorer.open(at('model'), { gpu: own, batch: 16 })
  const kernels = await scorer.warmUp()
  for (const size of [1, 2, 3, 5, 8, 11, 16]) await scorer.predictRows(given(rows.slice(0, size)))
  assert.is(own.caches.kernels, kernels)
  await scorer.close()
  own.close()
})

test('a lost device is replaced: calls under way are answered with the same bits', async () => {
  const opened: Gpu[] = []
  const open = async () => {
    opened.push(await openTestGpu())
    return opened.at(-1)!
  }
  const events: ScorerEvent[] = []
  const scorer = await Scorer.open(at('model'), { open, batch: 4, onEvent: event => events.push(event) })
  const calls = rows.map(row => scorer.predictRows(given([row])))
  opened[0]!.device.destroy()
  const got = (await Promise.all(calls)).map(([scores]) => scores!.probability)
  assert.equal(got, expected)
  assert.is(opened.length, 2)
  assert.equal(
    events.map(({ kind }) => kind),
    ['device lost', 'device replaced'],
  )
  assert.is(scorer.state().devicesLost, 1)
  await scorer.close()
})

test('a borrowed device that is lost ends its calls; the folder gone when one is lost, later calls find it again', async () => {
  const lent = await openTestGpu()
  const borrowing = await Scorer.open(at('model'), { gpu: lent })
  lent.device.destroy()
  const error = await borrowing.predictRows(given(rows.slice(0, 1))).catch(error => error)
  assert.instance(error, DeviceLostError)
  await borrowing.close()
  lent.close()

  const opened: Gpu[] = []
  const open = async () => {
    opened.push(await openTestGpu())
    return opened.at(-1)!
  }
  cpSync(at('model'), at('passing'), { recursive: true })
  const scorer = await Scorer.open(at('passing'), { open })
  renameSync(at('passing'), at('away'))
  opened[0]!.device.destroy()
  assert.instance(await scorer.predictRows(given(rows.slice(0, 1))).catch(error => error), ConfigError)
  assert.not(scorer.state().ready)
  renameSync(at('away'), at('passing'))
  assert.is((await scorer.predictRows(given(rows.slice(0, 1))))[0]!.probability, expected[0])
  assert.ok(scorer.state().ready)
  await scorer.close()
})

test('a replaced folder is taken over between calls; one that cannot be read is told once and changes nothing', async () => {
  cpSync(at('model'), at('live'), { recursive: true })
  const events: ScorerEvent[] = []
  const scorer = await Scorer.open(at('live'), { gpu, batch: 4, onEvent: event => events.push(event) })
  assert.not(await scorer.reload())
  const others = await predicted('other')
  cpSync(at('other'), at('next'), { recursive: true })
  renameSync(at('live'), at('old'))
  assert.not(await scorer.reload(), 'while one makes way for the other nothing happens')
  const early = scorer.predictRows(given(rows))
  renameSync(at('next'), at('live'))
  const reloading = scorer.reload()
  assert.equal(
    (await early).map(({ probability }) => probability),
    expected,
  )
  assert.ok(await reloading)
  assert.equal(
    (await scorer.predictRows(given(rows))).map(({ probability }) => probability),
    others,
  )
  const memory = gpu.memory
  rmSync(join(at('old'), 'config.json'))
  cpSync(join(at('old'), 'model.safetensors'), join(at('old'), 'config.json'))
  renameSync(at('live'), at('good'))
  renameSync(at('old'), at('live'))
  assert.not(await scorer.reload())
  assert.not(await scorer.reload())
  assert.equal(
    events.map(({ kind }) => kind),
    ['model replaced', 'model refused'],
  )
  assert.equal(
    (await scorer.predictRows(given(rows.slice(0, 3)))).map(({ probability }) => probability),
    others.slice(0, 3),
  )
  assert.is(gpu.memory, memory)
  await scorer.close()
})

test('what is no folder, option or model of single rows is refused when it is opened', async () => {
  const refuse = async (folder: unknown, options: unknown, message: RegExp) => {
    const error = await Scorer.open(folder as string, options as object).catch(error => error)
    assert.instance(error, Error)
    assert.match(error.message, message)
  }
  await refuse(undefined, {}, /folder is undefined/)
  await refuse(at('none'), { gpu }, /none.*no such file/)
  await refuse(at('model'), { gpu, batchSize: 3 }, /'batchSize' is unknown; did you mean 'batch'\?/)
  for (const batch of [0, -1, 1.5, Number.NaN, '8']) await refuse(at('model'), { gpu, batch }, /batch is/)
  for (const wait of [-1, Number.NaN, Infinity]) await refuse(at('model'), { gpu, wait }, /wait is/)
  await refuse(at('model'), { gpu: {} }, /gpu is an object/)
  await refuse(at('model'), { gpu, truncate: 1 }, /truncate is 1/)
  cpSync(at('model'), at('bare'), { recursive: true })
  rmSync(join(at('bare'), 'model.safetensors'))
  await refuse(at('bare'), { gpu }, /model\.safetensors/)
})

test.run()
