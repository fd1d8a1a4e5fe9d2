// Ids of every kind of tokenizer against Python's `tokenizers` and transformers, frozen by tools/freeze_tokenizers.py: the same ids, or
// a refusal that says what is not supported.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadTokenizer } from '../../src/data/index.ts'
import { ConfigError, DataError } from '../../src/errors.ts'

interface Case {
  name: string
  /** Of each text, a digest of its ids; null where Python refuses the text. */
  ids?: (string | null)[]
  /** Why Python refuses the tokenizer. */
  python?: string
}
interface Frozen {
  texts: string[]
  bytes: object
  plain: object
  unicode: string
  pipelines: (Case & { tokenizer: Record<string, unknown> })[]
  folders: (Case & { files: Record<string, unknown> })[]
}

const path = process.env.KERNELGRAD_TOKENIZERS ?? 'test/data/tokenizers.json'
const frozen: Frozen = JSON.parse(readFileSync(path, 'utf8'))
const root = mkdtempSync(join(tmpdir(), 'kernelgrad-tokenizers-'))
test.after(() => rmSync(root, { recursive: true }))

const digest = (ids: number[]) => createHash('sha1').update(ids.join()).digest('hex').slice(0, 8)
const LIMITS = { maxPositions: 100_000, vocabSize: 1_000_000 }

/** What is refused although Python reads it, and how. */
const REFUSED: Record<string, RegExp> = {
  'normalizer Precompiled':
    /normalizer 'Precompiled' is not supported, expected one of BertNormalizer, Lowercase/,
  'normalizer unknown': /normalizer 'Reverse' is not supported/,
  'pre-tokenizer UnicodeScripts':
    /pre-tokenizer 'UnicodeScripts' is not supported, expected one of BertPreTokenizer/,
  'pre-tokenizer Split [[:alpha:]]':
    /'\[:' is not supported in a regular expression, in "\[\[:alpha:\]\]" at 1/,
  'pre-tokenizer Split \\p{Han}': /\\p\{Han\} is not supported/,
  'pre-tokenizer Split (?i)a': /'\(\?i\)' is not supported/,
  'pre-tokenizer Split a**': /a repetition of a repetition is not supported/,
  'pre-tokenizer Split \\R': /\\R is not supported/,
  'pre-tokenizer Split (?i:ss)': /ss, st, ff, fi or fl within \(\?i:\) is not supported/,
  'pre-tokenizer Split (?m:.)': /'\(\?m:' is not supported/,
  // Python picks one of the two by the order of a hash.
  'added tokens found by one text': /added tokens '<A>' and '<a>' are found by the same text$/,
  'an added token of nothing': /added token '\u0301' is empty once it is normalized$/,
  'another class':
    /tokenizer_class: 'RobertaTokenizer' is not supported, expected one of BertTokenizer, DistilBertTokenizer/,
  'model_max_length 0': /model_max_length: expected an integer of at least 1, got 0$/,
  'model_max_length -1': /model_max_length: expected an integer of at least 1, got -1$/,
  'model_max_length long': /model_max_length: expected a number, got "long"$/,
  'null for the unknown token, BertTokenizer': /unk_token: null is not supported$/,
  ...Object.fromEntries(
    ['BertTokenizer', 'PreTrainedTokenizerFast'].flatMap(name => [
      [`auto_map, ${name}`, /auto_map: a tokenizer whose code comes with the folder is not supported$/],
      [`left padding, ${name}`, /padding_side: 'left' is not supported/],
    ]),
  ),
}

let count = 0
function folderOf(files: Record<string, unknown>): string {
  const folder = join(root, String(count++))
  mkdirSync(folder)
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  return folder
}

/** What is wrong with a case, nothing where all is as it should be. */
async function faults({ name, ids, python }: Case, files: Record<string, unknown>): Promise<string[]> {
  let tokenizer: Awaited<ReturnType<typeof loadTokenizer>>
  try {
    tokenizer = await loadTokenizer(folderOf(files), LIMITS)
  } catch (error) {
    if (!(error instanceof ConfigError)) return [`${name}: ${(error as Error).stack}`]
    const says = REFUSED[name]
    const right = says ? says.test(error.message) : python !== undefined
    return right ? [] : [`${name} is refused: ${error.message}`]
  }
  if (REFUSED[name]) return [`${name} is read`]
  // What is read although Python refuses it has no ids to compare.
  if (!ids) return []
  // A folder made of what goes beside a model gives the same.
  const beside = { ...tokenizer.files, 'config.json': { pretrained_model_config: { model_type: 'bert' } } }
  const copied = await loadTokenizer(folderOf(beside), LIMITS)
  return frozen.texts.flatMap((text, i) =>
    // A few of them show whether the copy is another tokenizer.
    (i < 12 ? [tokenizer, copied] : [tokenizer]).flatMap(({ encode }) => {
      let got: string | null = null
      try {
        got = digest(encode(text))
      } catch (error) {
        if (!(error instanceof DataError)) return [`${name}: ${(error as Error).stack}`]
      }
      const shown = got === null ? 'an error' : encode(text).join()
      return got === ids[i] ? [] : [`${name}: ${JSON.stringify(text)} gives ${shown}`]
    }),
  )
}

test('tokenizer.json alone: normalizers, pre-tokenizers, models, post-processors, added tokens', async () => {
  const found: string[] = []
  for (const one of frozen.pipelines) {
    const { model } = one.tokenizer
    const tokenizer = { ...one.tokenizer, model: model === 'bytes' ? frozen.bytes : model }
    found.push(...(await faults(one, { 'tokenizer.json': tokenizer })))
  }
  assert.equal(found, [])
})

test('folders: what AutoTokenizer makes of the files beside tokenizer.json', async () => {
  const found: string[] = []
  for (const one of frozen.folders) {
    const { 'tokenizer.json': json, ...others } = one.files
    const files =
      json === undefined ? others : { ...others, 'tokenizer.json': json === 'plain' ? frozen.plain : json }
    found.push(...(await faults(one, files)))
  }
  assert.equal(found, [])
})

test('every character of Unicode through BERT: alone between letters and before marks', async () => {
  const { encode } = await loadTokenizer(
    folderOf({
      'tokenizer.json': {
        ...frozen.plain,
        added_tokens: [],
        post_processor: null,
        normalizer: {
          type: 'BertNormalizer',
          clean_text: true,
          handle_chinese_chars: true,
          strip_accents: null,
          lowercase: true,
        },
        pre_tokenizer: { type: 'BertPreTokenizer' },
        model: frozen.bytes,
      },
    }),
    LIMITS,
  )
  const shapes = createHash('sha1')
  for (const [from, to] of [
    [0, 0x20000],
    [0x2a6d0, 0x2cec0],
    [0xe0000, 0xe0200],
  ] as const) {
    for (let first = from; first < to; first += 16) {
      const points = Array.from({ length: 16 }, (_, i) => first + i).filter(c => c < 0xd800 || c > 0xdfff)
      const text = points
        .map(c => `a${String.fromCodePoint(c)}b ${String.fromCodePoint(c)}\u0301\u0323`)
        .join(' ')
      shapes.update(`${encode(text).join()};`)
    }
  }
  assert.is(shapes.digest('hex'), frozen.unicode)
})

test.run()
