// Vectors of a side: made, kept in files, and taken instead of texts.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type ColumnKind,
  collate,
  loadDataset,
  openParquet,
  readColumns,
  writeParquet,
  writeParquetGroups,
} from '../../src/data/index.ts'
import { bytesToVectors } from '../../src/models/index.ts'
import {
  embed,
  embedToFile,
  predictWithVectors,
  readVectors,
  type TwoSidedModel,
  towerFingerprint,
  type VectorCache,
  writeVectors,
} from '../../src/serve/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { predictStream } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { late, twin, writeAds, writeClicks } from '../support/two-sided.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-vectors-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
const ads = await writeAds(folder, 'ads', 37, 1)
const clicks = await writeClicks(folder, ads, 29, 2)
const model = twin(gpu)
const student = late(gpu)
const at = (name: string) => join(folder, name)

/** What `body` is refused with. */
async function refused(body: () => Promise<unknown>): Promise<string> {
  try {
    await body()
  } catch (error) {
    return `${(error as Error).constructor.name}: ${(error as Error).message}`
  }
  throw new Error('nothing was refused')
}

async function encoded(of: TwoSidedModel): Promise<Float32Array> {
  const dataset = await loadDataset(ads.path, { inputs: { ad: of.sides.ad } })
  const rows = Uint32Array.from(ads.ids, (_, i) => i)
  const { ad } = collate(dataset, rows, { ad: of.sides.ad })
  return of.encode('ad', ad).read()
}

test('vectors of a file are what the tower gives, with ids of every kind, over several files and batches', async () => {
  const expected = await encoded(model)
  const cache = await embed(model, ads.path, { side: 'ad', id: 'ad_id', batchSize: 8 })
  expectClose(cache.vectors as Float32Array, expected, 2e-6, { shape: [37, 10] })
  assert.equal(cache.ids, ads.ids)
  const { vectors: _, ids: __, ...head } = cache
  const fingerprint = await towerFingerprint(model, 'ad')
  assert.equal(head, { side: 'ad', size: 10, storage: 'float32', fingerprint, idColumn: 'ad_id' })

  const done: number[] = []
  const twice = await embed(model, [ads.path, ads.path], { side: 'ad', onBatch: n => done.push(n) })
  assert.equal(
    twice.ids,
    Array.from({ length: 74 }, (_, i) => i),
  )
  assert.is(twice.idColumn, 'row')
  assert.is(done.at(-1), 74)
  const text = await embed(model, ads.path, { side: 'ad', id: 'name' })
  assert.is(text.ids[3], `ad ${ads.ids[3]}`)
  const repeated = await refused(() => embed(model, [ads.path, ads.path], { side: 'ad', id: 'ad_id' }))
  assert.match(repeated, /DataError: embed: id 1000 of row 37 is row 0's too, expected every id once/)
})

test('files give back what was written, to the bit: float32 and bytes, ids of text and of every size', async () => {
  for (const storage of ['float32', 'bytes'] as const)
    for (const id of ['ad_id', 'name', undefined]) {
      const options = { side: 'ad', storage, batchSize: 8, ...(id && { id }) } as const
      const cache = await embed(model, ads.path, options)
      await writeVectors(at('a.parquet'), cache)
      assert.equal(await readVectors(at('a.parquet')), cache)
      assert.is(await embedToFile(model, await openParquet(ads.path), at('b.parquet'), options), 37)
      assert.equal(await readVectors(at('b.parquet'), { storage }), cache)
    }
  const cache = await embed(model, ads.path, { side: 'ad', storage: 'bytes' })
  const [exact, kept] = [await encoded(model), bytesToVectors(cache.vectors as Uint8Array)]
  assert.ok(exact.every((value, i) => Math.abs(value - kept[i]!) <= 1 / 255 + 1e-6))
  const large = { ...cache, ids: cache.ids.map((_, i) => 2n ** 60n + BigInt(i)) }
  await writeVectors(at('large.parquet'), large)
  assert.equal((await readVectors(at('large.parquet'))).ids, large.ids)
  assert.match(
    await refused(() => readVectors(at('large.parquet'), { storage: 'float32' })),
    /DataError: .*large.parquet: vectors are stored as bytes, expected float32/,
  )
})

test('a tower is known by its weights, columns and side', async () => {
  const own = await towerFingerprint(model, 'ad')
  assert.match(own, /^[0-9a-f]{64}$/)
  assert.is(await towerFingerprint(twin(gpu), 'ad'), own)
  assert.is.not(await towerFingerprint(model, 'query'), own)
  assert.is.not(await towerFingerprint(twin(gpu, { seed: 2 }), 'ad'), own)
  assert.is.not(await towerFingerprint(twin(gpu, { downscale: null }), 'ad'), own)
  assert.is(await towerFingerprint(twin(gpu, { crossing: 'residual' }), 'ad'), own)
})

for (const [name, of] of [
  ['cosine', model],
  ['residual', twin(gpu, { crossing: 'residual' })],
  ['late fusion', student],
] as const) {
  test(`scores by kept vectors are the model's own: ${name}`, async () => {
    const file = await openParquet(clicks.path)
    const expected: number[] = []
    for await (const { scores } of predictStream(of, file, { batchSize: 8 })) expected.push(...scores)
    const cache = await embed(of, ads.path, { side: 'ad', id: 'ad_id', batchSize: 8 })
    const found: number[] = []
    for await (const { scores } of predictWithVectors(of, file, cache, { batchSize: 8 }))
      found.push(...scores)
    assert.is(found.length, 58)
    expectClose(Float32Array.from(found), expected, 2e-6)
  })
}

for (const [name, of] of [
  ['cosine', model],
  ['residual', twin(gpu, { crossing: 'residual' })],
  ['late fusion', student],
] as const)
  test(`vectors of the same batches give the model's own scores, to the bit: ${name}`, async () => {
    const columns = await readColumns(clicks.path, (await openParquet(clicks.path)).columns)
    const kinds = { search: 'list<int64>', title: 'list<int64>', depth: 'double' } as Record<
      string,
      ColumnKind
    >
    const data = Object.entries(columns).map(([name, data]) => ({ name, kind: kinds[name] ?? 'int64', data }))
    const event = { name: 'event', kind: 'int64' as const, data: clicks.shown.map((_, i) => 100 - i) }
    await writeParquet(at('events.parquet'), [...data, event], { rowGroupSize: 11 })
    const file = await openParquet(at('events.parquet'))
    const expected: number[] = []
    for await (const { scores } of predictStream(of, file, { batchSize: 8 })) expected.push(...scores)
    const cache = await embed(of, file, { side: 'ad', id: 'event', batchSize: 8 })
    const found: number[] = []
    for await (const { scores } of predictWithVectors(of, file, cache, { batchSize: 8 }))
      found.push(...scores)
    assert.is(found.length, 58)
    assert.equal(found, expected)
  })

/** A file of vectors with something else in its rows or its key-values. */
async function wrongFile(
  name: string,
  change: {
    vector?: unknown[]
    ids?: unknown[]
    told?: object
    metadata?: Record<string, string>
    kind?: 'list<float>' | 'list<uint8>'
  },
) {
  const {
    vector = [
      [1, 2],
      [3, 4],
    ],
    ids = [1, 2],
    told,
    metadata,
    kind = 'list<float>',
  } = change
  const head = {
    version: 1,
    side: 'ad',
    size: 2,
    storage: 'float32',
    fingerprint: 'a'.repeat(64),
    id_column: 'id',
    ...told,
  }
  async function* groups() {
    yield { id: ids, vector }
  }
  const columns = [
    { name: 'id', kind: 'int64' as const },
    { name: 'vector', kind },
  ]
  await writeParquetGroups(at(name), columns, groups(), {
    metadata: metadata ?? { 'kernelgrad.vectors': JSON.stringify(head) },
  })
  return refused(() => readVectors(at(name)))
}

test('files that hold no such vectors are refused, by row and column', async () => {
  const cases: [Parameters<typeof wrongFile>[1], RegExp][] = [
    [{ metadata: {} }, /is no file of vectors: its key-values have no kernelgrad.vectors/],
    [{ metadata: { 'kernelgrad.vectors': '{' } }, /expected JSON/],
    [{ told: { version: 2 } }, /has version 2, expected 1/],
    [{ told: { side: 'both' } }, /side is 'both'/],
    [{ told: { size: 0 } }, /size is 0/],
    [{ told: { storage: 'half' } }, /storage is 'half'/],
    [{ told: { fingerprint: 'x' } }, /fingerprint is 'x'/],
    [{ told: { id_column: 'no' } }, /has no column no/],
    [{ ids: [1, 1] }, /column id: id 1 of row 1 is row 0's too/],
    [{ ids: [1, null] }, /column id, row 1: id null, expected a whole number or text/],
    [{ vector: [[1, 2], null] }, /column vector, row 1: null, expected 2 numbers/],
    [{ vector: [[1, 2], []] }, /column vector, row 1: 0 numbers, expected 2/],
    [{ vector: [[1], [2, 3]] }, /column vector, row 0: 1 numbers, expected 2/],
    [
      {
        vector: [
          [1, 2, 3],
          [2, 3],
        ],
      },
      /column vector, row 0: more than 2 numbers/,
    ],
    [
      {
        vector: [
          [1, null],
          [2, 3],
        ],
      },
      /column vector, row 0: number 1 is null/,
    ],
    [
      {
        vector: [
          [1, 2],
          [Number.NaN, 3],
        ],
      },
      /column vector, row 1: number 0 is NaN, expected a finite number/,
    ],
    [
      {
        vector: [
          [1, 2],
          [3, Number.POSITIVE_INFINITY],
        ],
      },
      /row 1: number 1 is Infinity/,
    ],
    [
      {
        told: { storage: 'bytes' },
        vector: [
          [1, 2],
          [3, 0.5],
        ],
      },
      /row 1: number 1 is 0.5, expected a whole number from 0 to 255/,
    ],
  ]
  for (const [i, [change, says]] of cases.entries()) {
    const told = await wrongFile(`wrong-${i}.parquet`, change)
    assert.match(told, says)
    assert.match(told, /^DataError: /)
  }
})

test('a cache that is not the model’s, or cannot be, is refused before a row is read', async () => {
  const file = await openParquet(clicks.path)
  const cache = await embed(model, ads.path, { side: 'ad', id: 'ad_id' })
  const use = (other: Partial<VectorCache> | unknown, options = {}, of: TwoSidedModel = model) =>
    refused(async () => {
      const given = (
        typeof other === 'object' && other !== null ? { ...cache, ...other } : other
      ) as VectorCache
      for await (const _ of predictWithVectors(of, file, given, options));
    })
  assert.match(
    await use({}, {}, twin(gpu, { seed: 2 })),
    /the vectors are of other weights .* make them anew/,
  )
  assert.match(await use({}, {}, student), /vectors have 10 numbers, and the model's 12/)
  assert.match(await use({ side: 'query' }), /are of other weights/)
  assert.match(await use({ side: 'left' }), /side is 'left'/)
  assert.match(await use({ ids: cache.ids.slice(1) }), /vectors has 370 numbers, expected 36 times 10/)
  assert.match(await use({ ids: cache.ids.map(() => 3) }), /id 3 of row 1 is row 0's too/)
  assert.match(await use({ ids: cache.ids.map(id => (id === 1007 ? 1.5 : id)) }), /row 1: id 1.5/)
  assert.match(
    await use({ ids: cache.ids.map(id => (id as number) + 1) }),
    /column ad_id, row 0: id \d+ is not among the 37 vectors/,
  )
  const broken = (cache.vectors as Float32Array).slice()
  broken[25] = Number.NaN
  assert.match(await use({ vectors: broken }), /row 2, number 5 of its vector is NaN/)
  assert.match(await use({ storage: 'bytes' }), /expected a Uint8Array/)
  assert.match(await use(7), /cache is 7, expected a cache of vectors/)
  assert.match(await use({}, { id: 'no' }), /has no column no/)
  assert.match(await use({}, { ids: 'ad_id' }), /ids/)
})

test('what embed cannot do is one error, and no file appears', async () => {
  const to = (options: object, of: unknown = model, files: string | string[] = ads.path) =>
    refused(() => embedToFile(of as TwoSidedModel, files, at('none.parquet'), options as never))
  assert.match(await to({ side: 'left' }), /side is 'left'/)
  assert.match(await to({ side: 'ad', storage: 'half' }), /storage is 'half'/)
  assert.match(
    await to({ side: 'ad', storage: 'bytes' }, student),
    /storage is 'bytes', which holds numbers in \[-1, 1\]/,
  )
  assert.match(await to({ side: 'query' }), /has no column search/)
  assert.match(await to({ side: 'ad', id: 'no' }), /has no column no/)
  assert.match(
    await to({ side: 'ad', id: 'title' }),
    /column title, row 0: id .*, expected a whole number or text/,
  )
  assert.match(await to({ side: 'ad', batchSize: 0 }), /batchSize is 0/)
  assert.match(await to({ side: 'ad' }, model, []), /no rows/)
  assert.match(await to({ side: 'ad' }, 3), /model is 3/)
  assert.match(
    await to({ side: 'ad', id: 'ad_id' }, model, [ads.path, ads.path]),
    /id 1000 of row 37 is row 0's too/,
  )
  assert.not(existsSync(at('none.parquet')))
  assert.equal(
    readdirSync(folder).filter(name => name.includes('none')),
    [],
  )
})

test.run()
