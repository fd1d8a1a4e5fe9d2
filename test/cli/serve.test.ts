// A model behind HTTP: scores as kernelgrad predict's, every wrong request answered with what is wrong, and an end in good order.
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createApp } from '../../src/cli/serve/app.ts'
import { readColumns } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { Scorer } from '../../src/serve/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { type RowOf, rowsFor, saveScoring, writeRows } from '../support/score-rows.ts'
import { kernelgrad } from './capture.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-serve-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (name: string) => join(root, name)
const gpu = await openTestGpu()
await saveScoring(gpu, at('model'))
await saveScoring(gpu, at('other'), { seed: 2 })
gpu.close()
const rows = rowsFor(12, 8)

async function predicted(model: string): Promise<number[]> {
  const out = at('predictions.parquet')
  const told = await kernelgrad(
    ...['predict', '--model', at(model), '--data', await writeRows(root, rows), '--out', out],
  )
  assert.is(told.code, 0, told.err)
  return (await readColumns(out, ['probability'])).probability as number[]
}
const expected = await predicted('model')

const devices: Gpu[] = []
const open = async () => {
  devices.push(await openTestGpu())
  return devices.at(-1)!
}
cpSync(at('model'), at('live'), { recursive: true })
const scorer = await Scorer.open(at('live'), { open, queue: 20 })
const app = createApp(scorer, { maxRows: 15, bodyLimit: 4096, timeout: 600_000 })
test.after(async () => {
  await app.close()
  await scorer.close()
})

const post = (payload: unknown, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url: '/predict',
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
  })

test('one row is answered with its scores, many with a list, to the bit as predict writes them', async () => {
  const one = await post(rows[0])
  assert.is(one.statusCode, 200)
  assert.equal(one.json(), { probability: expected[0] })
  const many = await post(rows)
  assert.equal(
    many.json(),
    expected.map(probability => ({ probability })),
  )
  const apart = await Promise.all(rows.map(row => post(row)))
  assert.equal(
    apart.map(answer => answer.json().probability),
    expected,
  )
})

test('whatever is wrong with a request is answered with 400 and more, and says what', async () => {
  const [row] = rows as [RowOf]
  const wrong: [unknown, number, RegExp, object?][] = [
    ['{"city": 3', 400, /the body is no JSON: .*/],
    ['', 400, /the body is empty, expected a row, as {"field": value}/],
    ['NaN', 400, /JSON/i],
    [Buffer.from('{"city": "caf\xe9"}', 'latin1'), 400, /^the body is not UTF-8, as JSON has to be$/],
    [
      `[{}, {"city": 3, "query": [1], "city": 4}]`,
      400,
      /^field 'city' stands twice in a row, expected it once$/,
    ],
    ['null', 400, /the body is null, expected a row/],
    ['3', 400, /the body is 3/],
    ['"row"', 400, /the body is "row"/],
    ['[]', 400, /there are no rows/],
    ['{}', 400, /row 0 has no field 'query'/, { row: 0, field: 'query' }],
    ['{"__proto__": 1}', 400, /row 0 has a field '__proto__'/, { row: 0, field: '__proto__' }],
    [[row, null], 400, /row 1 is null/, { row: 1 }],
    [[row, [row]], 400, /row 1 is an array/, { row: 1 }],
    [[row, { ...row, city: 7 }], 400, /^row 1, field 'city': value 7, .*0 to 6$/, { row: 1, field: 'city' }],
    [{ ...row, city: 'Paris' }, 400, /value 'Paris'/, { row: 0, field: 'city' }],
    [{ ...row, depth: null }, 400, /field 'depth': value null/, { row: 0, field: 'depth' }],
    [{ ...row, depth: 1e39 }, 400, /field 'depth'/, { row: 0, field: 'depth' }],
    [{ ...row, depht: 1 }, 400, /'depht', .*did you mean 'depth'\?/, { row: 0, field: 'depht' }],
    [new Array(16).fill({}), 413, /16 rows, expected at most 15 \(--max-rows\)/],
    [{ ...row, title: new Array(3000).fill(1) }, 413, /longer than 4096 bytes \(--body-limit\)/],
  ]
  for (const [payload, status, message, place = {}] of wrong) {
    const answer = await post(payload)
    assert.is(answer.statusCode, status, answer.body)
    const { error, ...rest } = answer.json()
    assert.match(error, message)
    assert.equal(rest, place)
  }
  const form = await post('city=3', { 'content-type': 'application/x-www-form-urlencoded' })
  assert.is(form.statusCode, 415)
  assert.match(form.json().error, /content-type: application\/json/)
  const get = await app.inject({ method: 'GET', url: '/predict' })
  assert.is(get.statusCode, 405)
  assert.is(get.headers.allow, 'POST')
  const other = await app.inject({ method: 'GET', url: '/predictions' })
  assert.is(other.statusCode, 404)
  assert.match(other.json().error, /expected POST \/predict, GET \/health, GET \/metrics/)
})

test('a full queue answers 503 and when to come again; what was taken is answered', async () => {
  const answers = await Promise.all([post(rows), post(rows), post(rows.slice(0, 8))])
  assert.equal(
    answers.map(({ statusCode }) => statusCode),
    [200, 503, 200],
  )
  assert.is(answers[1]!.headers['retry-after'], '1')
  assert.match(answers[1]!.json().error, /12 rows wait to be scored, and 12 more would be over 20/)
})

test('a lost device answers late; a replaced folder is taken over; /health and /metrics tell', async () => {
  const lost = rows.map(row => post(row))
  devices[0]!.device.destroy()
  assert.equal(
    (await Promise.all(lost)).map(answer => answer.json().probability),
    expected,
  )
  const others = await predicted('other')
  cpSync(at('other'), at('next'), { recursive: true })
  renameSync(at('live'), at('old'))
  renameSync(at('next'), at('live'))
  assert.ok(await scorer.reload())
  assert.is((await post(rows[0])).json().probability, others[0])
  const health = await app.inject('/health')
  assert.is(health.statusCode, 200)
  assert.is(health.json().status, 'ok')
  assert.equal(Object.keys(health.json().fields).sort(), ['city', 'depth', 'query', 'title'])
  const { body, headers } = await app.inject('/metrics')
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
  assert.match(body, /^kernelgrad_requests_total\{code="200"\} \d+$/m)
  assert.match(body, /^kernelgrad_requests_total\{code="400"\} \d+$/m)
  assert.match(body, /^kernelgrad_devices_lost_total 1$/m)
  assert.match(body, /^kernelgrad_models_replaced_total 1$/m)
  assert.match(body, /^kernelgrad_rows_waiting 0$/m)
  const buckets = [...body.matchAll(/_bucket\{le="[^"]+"\} (\d+)/g)].map(([, count]) => Number(count))
  assert.ok(buckets.length > 5 && buckets.every((count, i) => count >= (buckets[i - 1] ?? 0)))
  assert.match(body, new RegExp(`^kernelgrad_request_seconds_count ${buckets.at(-1)}$`, 'm'))
})

/** Bytes to a port; the answer once the other side has ended. */
const raw = (port: number, text: string, hangUp = false): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      if (hangUp) socket.write(text, () => socket.resetAndDestroy())
      else socket.write(text)
    })
    let got = ''
    socket.on('data', data => {
      got += data
    })
    socket.on('close', () => resolve(got))
    socket.on('error', error => (hangUp ? resolve(got) : reject(error)))
  })

/** The command in a process of its own, once it listens. */
async function started(...args: string[]): Promise<{ child: ChildProcess; url: string; err: () => string }> {
  const child = spawn(process.execPath, ['bin/kernelgrad.js', 'serve', '--json', ...args])
  let err = ''
  child.stderr.on('data', text => {
    err += text
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', line => resolve(JSON.parse(line).url))
    child.once('exit', code => reject(new Error(`ended with ${code}: ${err}`)))
  })
  return { child, url, err: () => err }
}

test('the command listens, outlives broken clients, and at SIGTERM answers what it has', async () => {
  const { child, url, err } = await started('--model', at('model'), '--port', '0', '--batch-size', '4')
  const ended = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const port = Number(new URL(url).port)
  assert.match(await raw(port, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 .*this is no HTTP request/s)
  const head =
    'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n'
  await raw(port, `${head}{"city"`, true)
  const taken = await kernelgrad('serve', '--model', at('model'), '--port', String(port))
  assert.is(taken.code, 1)
  assert.match(taken.err, /port \d+ of 127\.0\.0\.1 is in use; name another by --port/)
  const ask = () =>
    fetch(`${url}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(rows),
    })
  const asked = Array.from({ length: 4 }, ask)
  // All four have been taken once a later request is answered.
  const first = await asked[0]!
  assert.is(first.status, 200)
  child.kill('SIGTERM')
  for (const answer of await Promise.all(asked))
    assert.equal(
      await answer.json(),
      expected.map(probability => ({ probability })),
    )
  assert.is(await ended, 0, err())
  await ask().then(
    () => assert.unreachable('nobody listens any more'),
    error => assert.instance(error, TypeError),
  )
})

test('a folder without weights, another model, and options that cannot be are refused before anything listens', async () => {
  cpSync(at('model'), at('bare'), { recursive: true })
  rmSync(join(at('bare'), 'model.safetensors'))
  const refuse = async (code: number, message: RegExp, ...args: string[]) => {
    const told = await kernelgrad('serve', ...args)
    assert.is(told.code, code, told.err)
    assert.match(told.err, message)
  }
  await refuse(1, /model\.safetensors/, '--model', at('bare'))
  await refuse(1, /no such file/, '--model', at('nowhere'))
  await refuse(2, /--model/)
  for (const port of ['-1', '65536', '80.5', 'http'])
    await refuse(2, /'--port <number>': expected a/, '--model', at('model'), '--port', port)
  await refuse(1, /no address of this machine/, '--model', at('model'), '--port', '0', '--host', '192.0.2.1')
})

test.run()
