// Token ids as a transformers tokenizer gives them.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadTokenizer } from '../../src/data/index.ts'

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

test.run()
