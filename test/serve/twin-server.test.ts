// Ads ranked by kept vectors: as the model scores them, while others ask, and while the ads change.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collate } from '../../src/data/index.ts'
import { embed, type Query, type Ranked, TwinServer, type TwoSidedModel } from '../../src/serve/index.ts'
import { percentile } from '../../src/serve/latency.ts'
import { openTestGpu } from '../support/gpu.ts'
import { late, twin, writeAds } from '../support/two-sided.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-server-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
const ads = await writeAds(folder, 'ads', 150, 3)
const model = twin(gpu)

async function refused(body: () => Promise<unknown>): Promise<string> {
  try {
    await body()
  } catch (error) {
    return `${(error as Error).constructor.name}: ${(error as Error).message}`
  }
  throw new Error('nothing was refused')
}

/** The probabilities of all ads for a query, by the model itself. */
async function scored(of: TwoSidedModel, query: number[], table: object = {}): Promise<Float32Array> {
  const n = ads.titles.length
  const lists = Object.fromEntries(
    [['search', ads.titles.map(() => query)] as const, ['title', ads.titles] as const].map(([name, rows]) => {
      const offsets = new Uint32Array(n + 1)
      for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + row.length
      return [name, { values: Uint32Array.from(rows.flat()), offsets }]
    }),
  )
  const columns = { length: n, rowStart: 0, lists, ids: {}, floats: {} }
  const batch = {
    ...collate(
      columns,
      Uint32Array.from({ length: n }, (_, i) => i),
      of.sides,
    ),
    ...table,
  }
  const values = await of.scores(batch as never).read()
  return values.filter((_, i) => i % 2 === 1)
}

/** What was ranked has the model's scores, the best ads, in order. */
function expectRanked(found: Ranked[], scores: Float32Array, k: number): void {
  assert.is(found.length, k)
  for (const { id, row, score } of found) {
    assert.is(id, ads.ids[row])
    assert.ok(Math.abs(score - scores[row]!) < 2e-6, `${score} and ${scores[row]}`)
  }
  const values = found.map(({ score }) => score)
  assert.equal(
    values,
    values.toSorted((a, b) => b - a),
  )
  const least = scores.toSorted((a, b) => b - a)[k - 1]!
  assert.ok(values.at(-1)! >= least - 2e-6)
  assert.is(new Set(found.map(({ row }) => row)).size, k)
}

for (const storage of ['float32', 'bytes'] as const)
  test(`the cosine form ranks all ads as the model does: ${storage}`, async () => {
    const cache = await embed(model, ads.path, { side: 'ad', id: 'ad_id', storage })
    const server = await TwinServer.create(model, cache)
    assert.is(server.size, 150)
    for (const k of [1, 10, 150]) {
      const found = await server.rank([3, 9, 4], { k })
      if (storage === 'float32') expectRanked(found, await scored(model, [3, 9, 4]), k)
      else assert.is(found.length, k)
      // Candidates are crossed by the model, without the kernel.
      const all = await server.rank([3, 9, 4], { k, candidates: ads.ids })
      assert.equal(
        found.map(({ id }) => id),
        all.map(({ id }) => id),
      )
    }
    const some = await server.rank([3, 9, 4], { candidates: [1049, 1000, 1007], k: 3 })
    assert.equal(some.map(({ id }) => id).sort(), [1000, 1007, 1049])
    server.close()
  })

test('a residual layer, and a student with a table of ads and of the request', async () => {
  const residual = twin(gpu, { crossing: 'residual' })
  const of = await TwinServer.create(residual, await embed(residual, ads.path, { side: 'ad', id: 'ad_id' }))
  const alone = await of.rank([5, 6], { k: 20 })
  expectRanked(alone, await scored(residual, [5, 6]), 20)
  const some = ads.ids.slice(40, 90).reverse()
  const chosen = (await of.rank([5, 6], { candidates: some, k: 50 })).map(({ id, score }) => [id, score])
  const all = (await of.rank([5, 6], { k: 150 })).map(({ id, score }) => [id, score])
  assert.equal(
    chosen,
    all.filter(([id]) => some.includes(id as number)),
  )
  of.close()
  const bytes = await embed(residual, ads.path, { side: 'ad', id: 'ad_id', storage: 'bytes' })
  const ofBytes = await TwinServer.create(residual, bytes)
  for (const { row, score } of await ofBytes.rank([5, 6], { k: 20 })) {
    const before = (await scored(residual, [5, 6]))[row]!
    assert.ok(Math.abs(score - before) < 0.01, `${score} and ${before}`)
  }
  ofBytes.close()

  const student = late(gpu)
  const city = Uint32Array.from(ads.ids, (_, i) => i % 6)
  const cache = await embed(student, ads.path, { side: 'ad', id: 'ad_id' })
  const server = await TwinServer.create(student, cache, { columns: { city } })
  const depth = new Float32Array(150).fill(0.75)
  const expected = await scored(student, [5, 6], { categorical: { city }, numerical: { depth } })
  expectRanked(await server.rank([5, 6], { k: 20, features: { depth: 0.75 } }), expected, 20)
  const wrong = (features: object) => refused(() => server.rank([5], { features: features as never }))
  assert.match(await wrong({}), /the model reads column depth, which neither/)
  assert.match(
    await wrong({ depth: 1, city: 2 }),
    /features.city is given, and the server has column city of every ad/,
  )
  assert.match(await wrong({ depth: Number.NaN }), /features.depth: value NaN, expected a finite number/)
  assert.match(
    await wrong({ depht: 1 }),
    /depht is no column of the model's table, whose columns are city, depth/,
  )
  server.close()
  const columns = (columns: object) =>
    refused(() => TwinServer.create(student, cache, { columns: columns as never }))
  assert.match(await columns({ city: city.subarray(1) }), /columns.city has 149 rows, expected 150/)
  assert.match(
    await columns({ city: city.map(value => value + 1) }),
    /columns.city, row 5: value 6, expected 0 to 5/,
  )
  assert.match(await columns({ title: city }), /title is no column/)
})

test('the vectors of ads stay on the device: a request brings a query and the rows that are asked for', async () => {
  const student = twin(gpu, { crossing: 'residual' })
  const cache = await embed(student, ads.path, { side: 'ad', id: 'ad_id' })
  const server = await TwinServer.create(student, cache)
  await server.rank([5, 6])
  const { from } = gpu
  let bytes = 0
  gpu.from = given => {
    bytes += given.byteLength
    return from.call(gpu, given)
  }
  try {
    await server.rank([5, 6])
  } finally {
    gpu.from = from
  }
  server.close()
  assert.ok(bytes > 0)
  assert.ok(bytes < cache.vectors.byteLength / 4, `${bytes} of ${cache.vectors.byteLength} bytes`)
})

test('equal ads are in the order of the cache', async () => {
  const cache = await embed(model, ads.path, { side: 'ad' })
  for (let row = 1; row < 150; row++) cache.vectors.copyWithin(row * 10, 0, 10)
  const server = await TwinServer.create(model, cache)
  const found = await server.rank([3], { k: 7 })
  assert.equal(
    found.map(({ row }) => row),
    [0, 1, 2, 3, 4, 5, 6],
  )
  server.close()
})

test('requests side by side get what they get alone; kept queries are not encoded again', async () => {
  const server = await TwinServer.create(model, await embed(model, ads.path, { side: 'ad' }), { queries: 2 })
  const queries = [[3, 9, 4], [7], [], [7], [3, 9, 4], [7]]
  const alone: Ranked[][] = []
  for (const query of queries) alone.push(await server.rank(query, { k: 5 }))
  // [3 9 4], [7] and [] are encoded; [7] is kept; [3 9 4] had to go for []; [7], asked for before it, is still there.
  assert.is(server.latency().encode.count, 4)
  assert.equal(await Promise.all(queries.map(query => server.rank(query, { k: 5 }))), alone)
  const { tokenize, score, topK, total } = server.latency()
  for (const part of [tokenize, score, topK, total]) {
    assert.is(part.count, 12)
    assert.ok(part.p50 >= 0 && part.p99 >= part.p50)
  }
  server.close()
})

test('other ads come while requests are under way, which end on the old ones; then the old ones are freed', async () => {
  const cache = await embed(model, ads.path, { side: 'ad', id: 'ad_id' })
  const fewer = { ...cache, ids: cache.ids.slice(50), vectors: cache.vectors.slice(500) }
  const server = await TwinServer.create(model, cache)
  const before = await server.rank([3, 9], { k: 150 })
  const { inUse } = gpu.memory
  for (let turn = 0; turn < 3; turn++) {
    const underWay = server.rank([3, 9], { k: 150 })
    await Promise.all([server.refresh(fewer), underWay.then(found => assert.equal(found, before))])
    assert.is(server.size, 100)
    const ids = new Set((await server.rank([3, 9], { k: 100 })).map(({ id }) => id))
    assert.ok(ads.ids.slice(50).every(id => ids.has(id)))
    const broken = await refused(() => server.refresh({ ...fewer, fingerprint: 'b'.repeat(64) }))
    assert.match(broken, /are of other weights/)
    assert.is(server.size, 100)
    await server.refresh(cache)
  }
  assert.equal(await server.rank([3, 9], { k: 150 }), before)
  assert.is(gpu.memory.inUse, inUse)
  const last = server.rank([3, 9], { k: 150 })
  server.close()
  server.close()
  assert.equal(await last, before)
  assert.ok(gpu.memory.inUse < inUse - 150 * 12 * 4)
  for (const call of [() => server.rank([3]), () => server.refresh(cache), async () => server.size])
    assert.match(await refused(call), /KernelgradError: TwinServer\.\w+: the server is closed/)
})

test('an empty query is a zero vector; what is no query, and what cannot be asked, is refused', async () => {
  const cache = await embed(model, ads.path, { side: 'ad', id: 'ad_id' })
  const server = await TwinServer.create(model, cache)
  expectRanked(await server.rank([], { k: 150 }), await scored(model, []), 150)
  assert.equal(await server.rank({ search: [3, 4] }), await server.rank(Uint16Array.of(3, 4)))
  for (const query of [
    'shoes',
    null,
    undefined,
    7,
    true,
    { title: [3] },
    { search: 'shoes' },
    {},
    Promise.resolve([3]),
  ])
    assert.match(
      await refused(() => server.rank(query as Query)),
      /ArgumentError: .*expected token ids, or \{ search: token ids \}/,
    )
  for (const token of [50, -1, 0.5, Number.NaN, '3'])
    assert.match(
      await refused(() => server.rank([1, token] as number[])),
      /query.search, token 1: id .*, expected 0 to 49/,
    )
  assert.match(await refused(() => server.rank(new Array(17).fill(3))), /17/)
  const wrong = (options: object) => refused(() => server.rank([3], options as never))
  assert.match(await wrong({ k: 151 }), /k is 151, expected at most 150, the ads there are/)
  assert.match(await wrong({ k: 3, candidates: [1000, 1007] }), /k is 3, expected at most 2, the candidates/)
  for (const k of [0, -1, 1.5, '3', null])
    assert.match(await wrong({ k }), /k is .*, expected a whole number of at least 1/)
  assert.match(await wrong({ candidates: [1000, 1001] }), /candidates\[1\]: id 1001 is not among the 150 ads/)
  assert.match(await wrong({ candidates: [1000, 1000] }), /candidates\[1\]: id 1000 is there twice/)
  assert.match(await wrong({ candidates: 1000 }), /candidates is 1000, expected an array of ids/)
  assert.match(await wrong({ candidates: [] }), /k is 0/)
  assert.match(await wrong({ top: 3 }), /top/)
  server.close()
  const made = (other: object, options: object = {}, of = model) =>
    refused(() => TwinServer.create(of, { ...cache, ...other }, options as never))
  assert.match(await made({}, {}, twin(gpu, { seed: 5 })), /are of other weights/)
  assert.match(await made({}, {}, twin(gpu, { downscale: 6 })), /vectors have 10 numbers, and the model's 6/)
  assert.match(await made({ side: 'query' }), /the vectors are of side 'query', expected side 'ad'/)
  assert.match(await made({ ids: [], vectors: new Float32Array() }), /there are no vectors/)
  assert.match(await made({}, { class: 2 }), /class is 2, expected 0 to 1/)
  assert.match(await made({}, { queries: -1 }), /queries is -1/)
})

test('the worse class ranks the other way round', async () => {
  const server = await TwinServer.create(model, await embed(model, ads.path, { side: 'ad', id: 'ad_id' }), {
    class: 0,
  })
  const expected = (await scored(model, [3, 9])).map(p => 1 - p)
  expectRanked(await server.rank([3, 9], { k: 12 }), expected, 12)
  server.close()
})

test('percentiles are values that were measured', () => {
  const sorted = Float64Array.from({ length: 200 }, (_, i) => i + 1)
  assert.equal([percentile(sorted, 0.5), percentile(sorted, 0.99)], [100, 198])
  assert.equal([percentile(Float64Array.of(4), 0.99), percentile(new Float64Array(), 0.5)], [4, 0])
})

test.run()
