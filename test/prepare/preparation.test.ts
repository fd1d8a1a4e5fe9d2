// What was learned, done to rows of any reader.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ArgumentError, ConfigError, DataError } from '../../src/errors.ts'
import { Preparation, type PreparationDocument } from '../../src/prepare/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-preparation-'))
test.after(() => rmSync(folder, { recursive: true }))

const standard = { scale: 'standard', mean: 10, std: 4, fill: 8 } as const
const document: PreparationDocument = {
  kernelgrad_preparation: 1,
  columns: {
    row_id: { role: 'ignore', why: 'every row has its own' },
    clicked: { role: 'label', type: 'boolean', classes: ['false', 'true'] },
    city: {
      role: 'category',
      type: 'string',
      out: 'city',
      codes: ['Paris', 'Zürich', '007'],
      missing_code: 4,
    },
    age: {
      role: 'category',
      type: 'integer',
      out: 'age',
      codes: ['30', '-5', '123456789012345678901'],
      missing_code: 0,
    },
    member: { role: 'category', type: 'boolean', out: 'member', codes: ['false', 'true'], missing_code: 0 },
    url: { role: 'category', type: 'string', out: 'url', hash_buckets: 50, missing_code: 0 },
    price: { role: 'number', out: 'price', ...standard, indicator: 'price_missing' },
    rank: {
      role: 'number',
      out: 'rank',
      scale: 'quantiles',
      mean: 0,
      std: 1,
      quantiles: [0, 1, 10, 100],
      fill: 1,
    },
    raw: { role: 'number', out: 'raw', scale: 'none', mean: 0, std: 1, fill: 0 },
    sold: {
      role: 'date',
      format: 'iso',
      out: 'sold',
      scale: 'standard',
      mean: 19_000,
      std: 100,
      fill: 19_000,
      month: 'sold_month',
      weekday: 'sold_weekday',
      hour: 'sold_hour',
      indicator: 'sold_missing',
    },
    title: { role: 'text', out: 'title', max_tokens: 3 },
    times: { role: 'weight' },
  },
  missing: ['-'],
  vocab_size: 6,
  pad_token_id: 0,
}
const tokenizer = {
  version: '1.0',
  pre_tokenizer: { type: 'BertPreTokenizer' },
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  model: {
    type: 'WordLevel',
    unk_token: '[UNK]',
    vocab: { '[PAD]': 0, '[UNK]': 1, red: 2, shoes: 3, '!': 4, blue: 5 },
  },
}
const made = (name: string, json: PreparationDocument = document) => {
  const at = join(folder, name)
  mkdirSync(join(at, 'tokenizer'), { recursive: true })
  writeFileSync(join(at, 'tokenizer', 'tokenizer.json'), JSON.stringify(tokenizer))
  writeFileSync(join(at, 'preparation.json'), JSON.stringify(json))
  return Preparation.read(at)
}
const row = {
  city: 'Paris',
  age: 30,
  member: true,
  url: 'https://a.example/',
  price: 12,
  rank: 5.5,
  raw: -0,
  sold: '2024-02-29T13:45:00Z',
  title: 'Red SHOES!',
  clicked: true,
  times: 2,
}
const plain = (columns: object) =>
  JSON.parse(
    JSON.stringify(columns, (_, value) => (ArrayBuffer.isView(value) ? Array.from(value as never) : value)),
  )
const days = (text: string) => Date.parse(text) / 86_400_000
const failure = (run: () => unknown): Error => {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  return assert.unreachable('expected an error') as never
}

test('a row becomes typed arrays by what was learned, and classes and weights only where they are asked for', async () => {
  const preparation = await made('whole')
  const columns = preparation.apply([row])
  assert.equal(plain(columns), {
    length: 1,
    rowStart: 0,
    lists: { title: { values: [2, 3, 4], offsets: [0, 3] } },
    ids: {
      city: [1],
      age: [1],
      member: [2],
      url: [columns.ids.url![0]],
      sold_month: [2],
      sold_weekday: [4],
      sold_hour: [14],
    },
    floats: {
      price: [0.5],
      price_missing: [0],
      rank: [0.5],
      raw: [0],
      sold: [Math.fround((days('2024-02-29T13:45:00Z') - 19_000) / 100)],
      sold_missing: [0],
    },
  })
  assert.ok(Object.is(columns.floats.raw![0], -0))
  assert.ok(columns.ids.url![0]! >= 1 && columns.ids.url![0]! <= 50)
  const trained = preparation.apply([row, { ...row, clicked: 'False', times: '0.5' }], { labels: 'required' })
  assert.equal([...trained.ids.label!, ...trained.floats.weight!], [1, 0, 2, 0.5])
  assert.equal(preparation.apply([{ ...row, clicked: undefined }, row]).ids.label, undefined)
  const { clicked: _, ...unlabelled } = row
  assert.equal(preparation.apply([row, unlabelled], { labels: 'optional' }).ids.label, undefined)
  assert.equal(
    [preparation.label, preparation.weight, preparation.classes],
    ['clicked', 'times', ['false', 'true']],
  )
})

test('what a value is written as does not matter: numbers, bigints, texts, truth values and dates', async () => {
  const preparation = await made('types')
  const ids = (name: string, ...values: unknown[]) => [
    ...preparation.apply(values.map(value => ({ ...row, [name]: value }))).ids[name]!,
  ]
  const floats = (name: string, ...values: unknown[]) => [
    ...preparation.apply(values.map(value => ({ ...row, [name]: value }))).floats[name]!,
  ]
  assert.equal(
    ids('age', 30, 30n, '30', '30.0', ' 30 ', '+30', '030', 30.5, 'thirty', 2 ** 53 - 1, '9007199254740992'),
    [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
  )
  assert.equal(ids('age', '123456789012345678901', 123456789012345678901n, -5, '-5'), [3, 3, 2, 2])
  assert.equal(
    ids('member', true, 'True', 'TRUE', 1, '1', false, 'false', 0, 0n, 'yes'),
    [2, 2, 2, 2, 2, 1, 1, 1, 1, 0],
  )
  assert.equal(
    ids('city', 'Zürich', 'Zu\u0308rich', '007', 7, 'paris', 'constructor', '__proto__', '\ud83d'),
    [2, 0, 3, 0, 0, 0, 0, 0],
  )
  assert.equal(floats('raw', '1e-320', '1e3', '.5', '+2.', true, 10n ** 20n, '-0'), [
    0,
    1000,
    0.5,
    2,
    1,
    Math.fround(1e20),
    -0,
  ])
  assert.equal(floats('rank', -1e308, 0, 1, 100, 1e308, '55'), [
    0,
    0,
    Math.fround(1 / 3),
    1,
    1,
    Math.fround(2.5 / 3),
  ])
  const sold = [
    '2024-02-29',
    '2024/2/29',
    new Date('2024-02-29'),
    '2024-02-29 00:00',
    '2024-02-29T01:00:00.0+01:00',
    '2024-02-29 00:00:00 UTC',
    '2024-02-28 19:00 -0500',
  ]
  assert.equal(new Set(floats('sold', ...sold)).size, 1)
})

test('a missing value follows its rule, and a category that was not seen is the unknown one', async () => {
  const preparation = await made('missing')
  for (const nothing of [null, undefined, '', '-', Number.NaN]) {
    const { ids, floats, lists } = preparation.apply([
      { ...row, city: nothing, age: nothing, price: nothing, sold: nothing, title: nothing },
    ])
    assert.equal([ids.city![0], ids.age![0], ids.sold_month![0], ids.sold_hour![0]], [4, 0, 0, 0])
    assert.equal(
      [floats.price![0], floats.price_missing![0], floats.sold![0], floats.sold_missing![0]],
      [-0.5, 1, 0, 1],
    )
    assert.is(lists.title!.values.length, 0)
  }
  // 'NA' is a place, and no number.
  const { ids, floats } = preparation.apply([{ ...row, city: 'NA', price: 'NA', age: 'n/a' }])
  assert.equal([ids.city![0], ids.age![0], floats.price![0], floats.price_missing![0]], [0, 0, -0.5, 1])
})

test('a value that cannot be is refused with row, field, value and what was expected', async () => {
  const preparation = await made('wrong')
  const refused = (wrong: object, options = {}) => {
    const error = failure(() =>
      preparation.apply([row, { ...row, ...wrong }], { source: 'a.csv', ...options }),
    )
    assert.instance(error, DataError)
    return error.message
  }
  const start = 'a.csv, row 1, column'
  assert.is(refused({ price: 'abc' }), `${start} 'price': value 'abc', expected a finite number`)
  assert.is(refused({ price: '1,5' }), `${start} 'price': value '1,5', expected a finite number`)
  assert.match(refused({ price: Infinity }), /'price': value Infinity, expected a finite number$/)
  assert.match(
    refused({ raw: 1e300 }),
    /'raw': value 1e\+300, expected a finite number that is within float32 once it is scaled/,
  )
  assert.match(refused({ price: { a: 1 } }), /'price': value an object with a, expected/)
  assert.match(
    refused({ city: ['Paris'] }),
    /'city': value an array of 1, expected one string, number or truth value$/,
  )
  for (const large of [2 ** 53, -(2 ** 60), 1e30])
    for (const name of ['age', 'city', 'url', 'member'])
      assert.match(
        refused({ [name]: large }),
        /value -?\d.*, expected a whole number below 2\^53 .*text or bigint$/,
      )
  assert.match(refused({ city: Symbol('x') }), /'city': value Symbol\(x\), expected/)
  for (const sold of [
    '2023-02-29',
    '31.12.2024',
    'yesterday',
    5,
    '2024-13-01',
    '2024-01-01T25:00',
    new Date(Number.NaN),
  ])
    assert.match(refused({ sold }), /'sold': value .*, expected a date as 2024-12-31 or 2024-12-31 23:59:59$/)
  assert.match(refused({ title: 'a\ud83d' }), /'title': text has half of a surrogate pair/)
  assert.match(
    refused({ clicked: 'maybe' }, { labels: 'required' }),
    /'clicked': value 'maybe', expected one of 'false', 'true'$/,
  )
  assert.match(refused({ times: -1 }, { labels: 'required' }), /'times': value -1, expected a weight/)
  const { city: _, ...without } = row
  const typo = failure(() => preparation.apply([{ ...without, citty: 'Paris' }]))
  assert.match(typo.message, /^row 0: field 'citty' is unknown, did you mean 'city'\? expected 'city', 'age'/)
  assert.match(
    failure(() => preparation.apply([{}])).message,
    /^row 0 has none of the fields, expected 'city'/,
  )
  assert.match(
    failure(() => preparation.apply([{ instances: [row] }])).message,
    /^row 0 has none of the fields, expected 'city', .*; what stands under 'instances' is to come without it$/,
  )
  for (const wrong of [null, 5, 'x', [1], new Uint8Array(2)])
    assert.match(
      failure(() => preparation.apply([wrong as never])).message,
      /^row 0 is .*, expected an object of values by field$/,
    )
  for (const wrong of [undefined, null, {}, 'x', 3])
    assert.instance(
      failure(() => preparation.apply(wrong as never)),
      ArgumentError,
    )
  assert.match(
    failure(() => preparation.apply([row], { label: 'none' } as never)).message,
    /'label' is unknown; did you mean 'labels'/,
  )
})

test('a preparation that cannot be is refused with file, column and key', async () => {
  const refused = async (name: string, change: (json: Record<string, never>) => void) => {
    const json = structuredClone(document) as never as Record<string, never>
    change(json)
    try {
      await made(name, json as never)
    } catch (error) {
      assert.instance(error, ConfigError)
      return (error as Error).message
    }
    return assert.unreachable(name) as never
  }
  const column = (json: object, name: string) =>
    (json as PreparationDocument).columns[name] as Record<string, unknown>
  assert.match(
    await refused('role', json => {
      column(json, 'city').role = 'city'
    }),
    /role\/preparation\.json: columns\.city: role: expected one of 'label', 'category'/,
  )
  assert.match(
    await refused('code', json => {
      column(json, 'city').codes = ['a', 'a']
    }),
    /columns\.city: codes: a key stands twice/,
  )
  assert.match(
    await refused('both', json => {
      column(json, 'url').codes = ['a']
    }),
    /columns\.url: expected one of codes and hash_buckets/,
  )
  assert.match(
    await refused('std', json => {
      column(json, 'price').std = 0
    }),
    /columns\.price: std: expected a number above 0, got 0/,
  )
  assert.match(
    await refused('out', json => {
      column(json, 'price').out = 'city'
    }),
    /columns make 'city' twice/,
  )
  assert.match(
    await refused('label', json => {
      column(json, 'times').role = 'label'
    }),
    /columns\.times: (missing key|unknown key|type)/,
  )
  assert.match(
    await refused('steps', json => {
      column(json, 'rank').quantiles = [1, 1]
    }),
    /columns\.rank: quantiles: expected at least two numbers, ascending/,
  )
  assert.match(
    await refused('words', json => {
      ;(json as Record<string, unknown>).vocab_size = undefined
    }),
    /column 'title' is text, expected vocab_size and pad_token_id/,
  )
  let none: Error | undefined
  await Preparation.read(join(folder, 'nowhere')).catch(error => {
    none = error
  })
  assert.match(
    none!.message,
    /nowhere has no preparation\.json, expected a folder that kernelgrad prepare wrote/,
  )
})

test('what a preparation makes is said as a model reads it', async () => {
  const preparation = await made('features')
  assert.equal(Object.keys(preparation.features()), [
    'title',
    'city',
    'age',
    'member',
    'url',
    'sold_month',
    'sold_weekday',
    'sold_hour',
    'price',
    'price_missing',
    'rank',
    'raw',
    'sold',
    'sold_missing',
  ])
  assert.equal(preparation.features(() => 8).city, { dtype: 'categorical', vocab_size: 5, embedding_size: 8 })
  assert.equal(preparation.features(() => 8).url, { dtype: 'categorical', vocab_size: 51, embedding_size: 8 })
})

test.run()
