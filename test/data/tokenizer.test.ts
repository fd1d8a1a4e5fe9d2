// Token ids as a transformers tokenizer gives them.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadTokenizer } from '../../src/data/index.ts'
import { ConfigError, DataError } from '../../src/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-tokenizer-'))
test.after(() => rmSync(folder, { recursive: true }))
const WIDE = { maxPositions: 64, vocabSize: 246 }

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => assert.unreachable('expected a rejection') as never,
    error => error,
  )

for (const name of ['distilbert', 'bert']) {
  test(`${name}: ids equal transformers', accents, case, other scripts and empty texts included`, async () => {
    const { texts, ids } = JSON.parse(readFileSync(`test/golden/encoders/${name}/case.json`, 'utf8'))
    const tokenizer = await loadTokenizer(`test/golden/encoders/${name}`, WIDE)
    assert.equal(
      texts.map((text: string) => tokenizer.encode(text)),
      ids,
    )
  })
}

test('a long text loses its end, and keeps what stands around it', async () => {
  const text = 'second-hand piano near me; best headphones under 100 for flat feet'
  const from = 'test/golden/encoders/bert'
  const whole = (await loadTokenizer(from, WIDE)).encode(text)
  const cut = (await loadTokenizer(from, { ...WIDE, maxPositions: 7 })).encode(text)
  assert.equal(cut, [...whole.slice(0, 6), whole.at(-1)])
  assert.equal((await loadTokenizer(from, { ...WIDE, maxPositions: whole.length })).encode(text), whole)
  copyFileSync(join(from, 'tokenizer.json'), join(folder, 'tokenizer.json'))
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ model_max_length: 5, truncation_side: 'left' }),
  )
  const configured = await loadTokenizer(folder, WIDE)
  assert.equal(configured.encode(text), [whole[0], ...whole.slice(-4)])
  assert.equal(Object.keys(configured.files), ['tokenizer.json', 'tokenizer_config.json'])
})

test('what cannot be read is refused, naming the file', async () => {
  const { message } = await rejection(loadTokenizer('test/golden/tiny', WIDE))
  assert.match(message, /cannot read test\/golden\/tiny\/tokenizer\.json: no such file/)
  const small = await rejection(
    loadTokenizer('test/golden/encoders/bert', { maxPositions: 9, vocabSize: 100 }),
  )
  assert.match(small.message, /tokenizer\.json has token ids up to 245, expected them below vocab_size 100/)
  writeFileSync(join(folder, 'tokenizer.json'), '{"model": {"type": "Crystal"}}')
  assert.match(
    (await rejection(loadTokenizer(folder, WIDE))).message,
    /tokenizer\.json: model: model 'Crystal' is not supported, expected one of BPE, Unigram/,
  )
})

const small = {
  version: '1.0',
  truncation: { direction: 'Right', max_length: 9, strategy: 'LongestFirst', stride: 0 },
  padding: null,
  added_tokens: [
    {
      id: 4,
      content: '[X]',
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    },
  ],
  normalizer: {
    type: 'Sequence',
    normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '[a-c]+' }, content: 'a' }],
  },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Whitespace' },
      { type: 'Split', pattern: { String: 'b' }, behavior: 'Isolated', invert: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '[C]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '[C]': { id: '[C]', ids: [0], tokens: ['[C]'] } },
  },
  model: { type: 'BPE', unk_token: '[C]', vocab: { '[C]': 0, a: 1, b: 2, ab: 3 }, merges: [['a', 'b']] },
}
const config = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  model_max_length: 7,
  truncation_side: 'right',
  mask_token: { __type: 'AddedToken', content: '[M]', lstrip: true },
  extra_special_tokens: ['[E]'],
  added_tokens_decoder: { 4: { content: '[X]', special: true } },
}
const JUNK = [
  null,
  true,
  -1,
  1.5,
  2 ** 60,
  '',
  'x',
  '\ud800',
  [],
  {},
  [[]],
  { type: 'Sequence' },
  { Regex: '(' },
]

/** Every place in JSON, as the keys that lead there. */
const places = (json: unknown): string[][] =>
  typeof json !== 'object' || json === null
    ? []
    : Object.entries(json).flatMap(([key, value]) => [[key], ...places(value).map(rest => [key, ...rest])])

/** A copy with another value at a place, or none. */
function replaced(json: unknown, [key, ...rest]: string[], value: unknown): unknown {
  const copy = structuredClone(json) as Record<string, unknown>
  if (rest.length) copy[key!] = replaced(copy[key!], rest, value)
  else if (value === undefined) delete copy[key!]
  else copy[key!] = value
  return copy
}

test('whatever stands at whichever key, there is a tokenizer or one clear error', async () => {
  let [read, refused] = [0, 0]
  const attempt = async () => {
    try {
      const { encode } = await loadTokenizer(folder, WIDE)
      for (const text of ['', 'ab abc [X] x', '\u00e9\u0301 😀 bb']) assert.ok(encode(text).length <= 64)
      read++
    } catch (error) {
      if (!(error instanceof ConfigError) && !(error instanceof DataError)) throw error
      assert.not.match(error.message, /undefined|\[object|NaN/)
      refused++
    }
  }
  const whole: Record<string, unknown> = { 'tokenizer.json': small, 'tokenizer_config.json': config }
  const write = (name: string, json: unknown) => writeFileSync(join(folder, name), JSON.stringify(json))
  for (const name of Object.keys(whole)) {
    for (const other of Object.keys(whole)) write(other, whole[other])
    for (const place of places(whole[name])) {
      for (const value of [undefined, ...JUNK]) {
        write(name, replaced(whole[name], place, value))
        await attempt()
      }
    }
  }
  assert.ok(read > 100 && refused > 300, `${read} read, ${refused} refused`)
})

test('files that are no JSON, no UTF-8 or nested without end are refused by name', async () => {
  const write = (bytes: string | Buffer) => writeFileSync(join(folder, 'tokenizer.json'), bytes)
  for (const [bytes, says] of [
    ['', /tokenizer\.json is not valid JSON/],
    ['{"model": ', /tokenizer\.json is not valid JSON/],
    [
      Buffer.from('{"version": "\u00e9"}').subarray(0, 14),
      /tokenizer\.json is no text: its bytes are not UTF-8/,
    ],
    ['['.repeat(100_000), /tokenizer\.json nests deeper than 200 levels/],
    [`{"model":${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}}`, /nests deeper than 200 levels/],
    ['null', /tokenizer\.json: expected an object, got null/],
    ['[]', /tokenizer\.json: expected an object, got \[\]/],
  ] as const) {
    write(bytes)
    const error = await rejection(loadTokenizer(folder, WIDE))
    assert.instance(error, ConfigError)
    assert.match(error.message, says)
  }
})

test('a text that cannot be is refused as it is read', async () => {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(small))
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  const { encode } = await loadTokenizer(folder, { ...WIDE, vocabSize: 5 })
  assert.equal(encode('ab [X]'), [0, 1, 4])
  assert.throws(() => encode('a\ud800b'), /^text has half of a surrogate pair at 1: "a\\ud800b"$/)
  assert.throws(() => encode('[M]'), /^text has token '\[M\]', whose id \d is not below vocab_size 5$/)
  await rejection(loadTokenizer(folder, { ...WIDE, maxPositions: 0 }))
})

test.run()
