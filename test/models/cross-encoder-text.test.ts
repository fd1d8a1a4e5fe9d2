// A cross encoder of strings: each column's words between the tokenizer's special tokens, from the command line, and what is refused.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collate, loadDataset, loadTokenizer, readColumns, writeParquet } from '../../src/data/index.ts'
import { readOptions } from '../../src/models/index.ts'
import { loadModel } from '../../src/train/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-cross-text-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
const at = (name: string) => join(folder, name)
cpSync('test/golden/encoders/bert', at('encoder'), { recursive: true })
const VOCABULARY = JSON.parse(readFileSync(at('encoder/config.json'), 'utf8')).vocab_size as number
const limits = { maxPositions: 64, vocabSize: VOCABULARY }
const framed = await loadTokenizer(at('encoder'), limits)
/** The tokenizer's own [CLS], [SEP], and the words of a text. */
const [CLS, SEP] = framed.encode('') as [number, number]
const wordsOf = (text: string) => framed.encode(text).slice(1, -1)

const QUERIES = ['best headphones', '', 'red shoes [SEP] men', 'coffee']
const TITLES = ['Wireless headphones, over-ear', 'x', '', 'Running shoes é']
const rows = Array.from({ length: 24 }, (_, i) => ({
  list: i >> 2,
  query: QUERIES[(i >> 2) % 4]!,
  title: TITLES[i % 4]!,
  label: Number(i % 3 === 0),
}))
const column = <K extends keyof (typeof rows)[0]>(name: K) => rows.map(row => row[name])
const shared = [
  { name: 'list', kind: 'int64' as const, data: column('list') },
  { name: 'label', kind: 'int64' as const, data: column('label') },
]
await writeParquet(at('strings.parquet'), [
  ...shared,
  { name: 'query', kind: 'string', data: column('query') },
  { name: 'title', kind: 'string', data: column('title') },
])
await writeParquet(at('tokens.parquet'), [
  ...shared,
  { name: 'query', kind: 'list<int64>', data: column('query').map(wordsOf) },
  { name: 'title', kind: 'list<int64>', data: column('title').map(wordsOf) },
])
const config = (dtype: string, more: object = {}) => ({
  architecture: 'CrossEncoder',
  features_config: { query: { dtype }, title: { dtype } },
  pretrained_model_config: {
    vocab_size: VOCABULARY,
    hidden_size: 8,
    num_attention_heads: 2,
    num_hidden_layers: 1,
    intermediate_size: 12,
    max_position_embeddings: 64,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
  },
  ...{ cls_token_id: CLS, sep_token_id: SEP, mask_token_id: framedMask() },
  lists: ['list'],
  label: 'label',
  loss: 'listwise_normed',
  model_name: at('encoder'),
  trainer: {
    num_train_epochs: 1,
    per_device_train_batch_size: 3,
    gradient_accumulation_steps: 1,
    eval_steps: null,
    save_steps: null,
    load_best_model_at_end: false,
    seed: 2,
  },
  ...more,
})
function framedMask(): number {
  const [mask] = wordsOf('[MASK]')
  return mask!
}
async function train(dtype: string, file: string, out: string, more: object = {}) {
  writeFileSync(at('ranker.json'), JSON.stringify(config(dtype, more)))
  return kernelgrad('train', '--config', at('ranker.json'), '--train', at(file), '--out', at(out))
}

test('strings train and score to the bits of their words’ ids, and the folder keeps the tokenizer', async () => {
  for (const [dtype, file] of [
    ['text', 'strings'],
    ['token_id', 'tokens'],
  ] as const) {
    const trained = await train(dtype, `${file}.parquet`, file)
    assert.is(trained.code, 0, trained.err)
    const args = ['--model', at(file), '--data', at(`${file}.parquet`), '--out', at(`${file}.scores.parquet`)]
    const scored = await kernelgrad('predict', ...args)
    assert.is(scored.code, 0, scored.err)
  }
  const [a, b] = await Promise.all(
    ['strings', 'tokens'].map(
      async name => (await readColumns(at(`${name}.scores.parquet`), ['score'])).score,
    ),
  )
  assert.equal(a, b)
  assert.ok(new Set(a).size > 8)
  assert.ok(existsSync(join(at('strings'), 'tokenizer.json')))
})

test('a text is [CLS] query [SEP] title [SEP], each with its segment', async () => {
  const model = await loadModel(gpu, at('strings'))
  try {
    const data = await loadDataset(at('strings.parquet'), readOptions(model as never))
    const { text } = collate(data, [2, 9], model.inputs) as unknown as {
      text: { inputIds: { ids: Uint32Array }; typeIds: Uint32Array; cuSeqlens: Uint32Array }
    }
    const wanted = [2, 9].map(row => {
      const { query, title } = rows[row]!
      return [CLS, ...wordsOf(query), SEP, ...wordsOf(title), SEP]
    })
    assert.equal([...text.inputIds.ids], wanted.flat())
    const types = [2, 9].flatMap(row => {
      const { query, title } = rows[row]!
      return [
        ...new Array(wordsOf(query).length + 2).fill(0),
        ...new Array(wordsOf(title).length + 1).fill(1),
      ]
    })
    assert.equal([...text.typeIds], types)
  } finally {
    model.free()
  }
})

test('other special tokens than the tokenizer’s, no tokenizer, and texts that are too long are refused', async () => {
  await writeParquet(at('long.parquet'), [
    ...shared,
    { name: 'query', kind: 'string', data: column('query').with(7, 'coffee '.repeat(70)) },
    { name: 'title', kind: 'string', data: column('title') },
  ])
  await writeParquet(at('null.parquet'), [
    ...shared,
    { name: 'query', kind: 'string', data: (column('query') as (string | null)[]).with(7, null) },
    { name: 'title', kind: 'string', data: column('title') },
  ])
  for (const [more, file, says] of [
    [
      { cls_token_id: SEP, sep_token_id: CLS },
      'strings',
      new RegExp(
        `tokenizer\\.json has the tokens ${CLS} before a text and ${SEP} behind it, expected cls_token_id ${SEP} and sep_token_id ${CLS}`,
      ),
    ],
    [
      { mask_token_id: VOCABULARY - 1, mlm: { probability: 0.3 } },
      'strings',
      new RegExp(`masks by token ${framedMask()}, expected mask_token_id ${VOCABULARY - 1}`),
    ],
    [
      { model_name: undefined },
      'strings',
      /feature 'query' has dtype 'text', expected model_name to name a folder/,
    ],
    [{}, 'long', /long\.parquet: row 7 has a text of \d+ tokens, expected at most 64 .*--truncate/],
    [{}, 'null', /null\.parquet: column query, row 7/],
    [{}, 'tokens', /tokens\.parquet: column query .*expected/],
  ] as const) {
    const { code, err } = await train('text', `${file}.parquet`, 'refused', more)
    assert.ok(code, `${file}: nothing was refused`)
    assert.match(err, says)
  }
})

test.run()
