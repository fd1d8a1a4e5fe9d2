// The cross encoder over clicks: frozen values; its text and masks; training on what preprocess writes, resumed to the bit; figures by group; wrong input.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkCrossEncoderCase } from '../../bench/parity/cross-encoder-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { collate, openParquet, readColumns, writeParquet } from '../../src/data/index.ts'
import { joinTexts, preprocessUltr, writeUltrWorld } from '../../src/datasets/ultr/index.ts'
import * as kg from '../../src/index.ts'
import { type CrossEncoderConfig, readOptions } from '../../src/models/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-cross-encoder-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

await writeUltrWorld({
  folder: join(folder, 'raw'),
  sessions: 24,
  queries: 8,
  candidates: 8,
  shown: 5,
  judged: 6,
  words: 60,
  seed: 3,
})
const files = await preprocessUltr({ input: join(folder, 'raw'), output: join(folder, 'rows'), seed: 1 })

const config = (more: object = {}): CrossEncoderConfig =>
  ({
    architecture: 'CrossEncoder',
    features_config: {
      query: { dtype: 'token_id' },
      title: { dtype: 'token_id' },
      abstract: { dtype: 'token_id' },
    },
    pretrained_model_config: {
      vocab_size: 70,
      hidden_size: 8,
      num_attention_heads: 2,
      num_hidden_layers: 1,
      intermediate_size: 12,
      max_position_embeddings: 64,
    },
    loss: 'two_tower',
    mlm: { probability: 0.3, columns: ['title', 'abstract'] },
    heads: { skip: {}, dwell: {} },
    ...more,
  }) as CrossEncoderConfig

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kg.KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

for (const name of ['two_tower', 'dla', 'multi'])
  test(`${name} equals frozen values: scores, losses, gradients, three steps`, async () => {
    const path = `test/golden/ultr/${name}`
    const frozen = JSON.parse(readFileSync(`${path}/case.json`, 'utf8'))
    const findings = await checkCrossEncoderCase(gpu, path, frozen)
    assert.is(findings.length, 4)
    assert.ok(findings.every(passes), findingsTable(findings))
  })

test('a text is [CLS] query [SEP] title [SEP] abstract [SEP] with segments, cut where it is too long', async () => {
  const model = new kg.CrossEncoder(config())
  const data = await kg.loadDataset(files.train, readOptions(model))
  const columns = await readColumns(await openParquet(files.train), ['query', 'title', 'abstract'])
  const rows = [0, 3, 4, 17]
  const whole = (row: number) => {
    const [query, title, abstract] = (['query', 'title', 'abstract'] as const).map(name =>
      (columns[name]![row] as (number | bigint)[]).map(Number),
    ) as [number[], number[], number[]]
    const ids = { pad: 0, sep: 1, cls: 2, mask: 3, offset: 0 }
    return { ids, text: { query, title, abstract } }
  }
  for (const longest of [64, 7]) {
    const inputs = { ...model.inputs, text: { ...model.inputs.text, maxPositions: longest } }
    const { text } = collate(data, rows, inputs, { truncate: true })
    for (const [b, row] of rows.entries()) {
      const joined = joinTexts(whole(row).text, { longest, ids: whole(row).ids })
      const length = joined.ids.filter(id => id !== 0).length
      const [from, to] = [text.cuSeqlens[b]!, text.cuSeqlens[b + 1]!]
      assert.equal([...text.inputIds.ids.subarray(from, to)], joined.ids.slice(0, length))
      assert.equal([...text.typeIds!.subarray(from, to)], joined.segments.slice(0, length))
      assert.equal(
        [...text.positionIds.ids.subarray(from, to)],
        Array.from({ length }, (_, i) => i),
      )
    }
  }
  const short = { ...model.inputs, text: { ...model.inputs.text, maxPositions: 7 } }
  assert.match(
    await messageOf(() => collate(data, rows, short)),
    /has a text of \d+ tokens, expected at most 7/,
  )
})

test('only tokens of the named texts are hidden, always by the mask, others every epoch', async () => {
  const model = new kg.CrossEncoder(config())
  const data = await kg.loadDataset(files.train, readOptions(model))
  const rows = Array.from({ length: data.length }, (_, i) => i)
  const drawn = [0, 1].map(epoch => {
    const { text, masked } = collate(data, rows, model.inputs, { seed: 5, epoch })
    assert.ok(masked!.positions.length > 20)
    for (const [i, position] of masked!.positions.entries()) {
      assert.is(text.typeIds![position], 1)
      assert.ok(text.inputIds.ids[position]! >= 10)
      assert.is(masked!.labels[i], text.inputIds.ids[position])
      assert.is(masked!.inputIds.ids[position], 3)
    }
    return [...masked!.positions].join()
  })
  assert.is.not(drawn[0], drawn[1])
  // BERT's own way leaves some as they are.
  const bert = new kg.CrossEncoder(config({ mlm: { probability: 0.5, always_mask: false } }))
  const { masked, text } = collate(data, rows, bert.inputs, { seed: 5 })
  const kept = [...masked!.positions].filter(at => masked!.inputIds.ids[at] !== 3)
  assert.ok(kept.length > 0 && kept.length < masked!.positions.length / 2)
  assert.ok([...masked!.positions].some(at => text.typeIds![at] === 0))
})

test('relevance hangs on the token types, and not on places or labels', async () => {
  const model = new kg.CrossEncoder(config()).to(gpu, { seed: 1 })
  const data = await kg.loadDataset(files.train, readOptions(model))
  const batch = collate(data, [0, 1, 2, 3], model.inputs)
  const scores = async (given: typeof batch) => [...(await model.eval().logits(given).read())]
  const wanted = await scores(batch)
  assert.equal(
    await scores({ ...batch, positions: undefined, labels: undefined, lists: undefined } as never),
    wanted,
  )
  const { typeIds: _, ...untyped } = batch.text
  const others = await scores({ ...batch, text: untyped })
  assert.ok(others.some((score, i) => score !== wanted[i]))
  const zeros = { ...batch.text, typeIds: new Uint32Array(batch.text.tokens) }
  assert.equal(await scores({ ...batch, text: zeros }), others)
})

test('train, resume to the bit, evaluate annotated lists by frequency, predict: from the command line', async () => {
  const path = join(folder, 'config.json')
  const trainer = {
    max_steps: 6,
    per_device_train_batch_size: 3,
    learning_rate: 0.01,
    eval_steps: 3,
    save_steps: 3,
    metric_for_best_model: 'ndcg@10',
    load_best_model_at_end: false,
  }
  writeFileSync(path, JSON.stringify({ ...config(), trainer }))
  const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')]
  const train = (out: string, ...more: string[]) =>
    kernelgrad(
      'train',
      '--config',
      path,
      '--train',
      files.train,
      '--eval',
      files.annotated!,
      '--out',
      out,
      ...more,
    )
  const told = await train(whole)
  assert.is(told.code, 0, told.err)
  // The first half again, and on from its checkpoint.
  mkdirSync(stopped)
  assert.is((await train(stopped)).code, 0)
  rmSync(join(stopped, 'checkpoint-6'), { recursive: true })
  const again = await train(stopped, '--resume')
  assert.is(again.code, 0, again.err)
  const weights = (run: string) => readFileSync(join(run, 'model.safetensors'))
  assert.ok(weights(whole).equals(weights(stopped)))
  const evaluated = await kernelgrad(
    'evaluate',
    '--model',
    whole,
    '--data',
    files.annotated!,
    '--group-by',
    'frequency',
    '--json',
  )
  assert.is(evaluated.code, 0, evaluated.err)
  const { metrics } = JSON.parse(evaluated.out)
  const groups = new Set(
    (await readColumns(await openParquet(files.annotated!), ['frequency'])).frequency as string[],
  )
  assert.ok(groups.size > 1)
  let lists = 0
  for (const group of groups) {
    for (const name of ['dcg@10', 'ndcg@10', 'err@10', 'pnr'])
      assert.type(metrics[`${name} (${group})`], 'number')
    lists += metrics[`lists (${group})`]
  }
  assert.is(lists, metrics.lists)
  // The same lists by bucket, which are numbers.
  const byBucket = await kernelgrad(
    'evaluate',
    '--model',
    whole,
    '--data',
    files.annotated!,
    '--group-by',
    'bucket',
    '--json',
  )
  assert.is(byBucket.code, 0, byBucket.err)
  assert.is(JSON.parse(byBucket.out).metrics['ndcg@10'], metrics['ndcg@10'])
  // Its heads together: with the weight of the score alone as before, with others as those that are fitted.
  const fuse = async (weights: string, ...more: string[]) => {
    const args = ['--model', whole, '--data', files.annotated!, '--fuse', weights, '--json', ...more]
    const told = await kernelgrad('evaluate', ...args)
    return told.code ? told.err : JSON.parse(told.out).metrics
  }
  const alone = await fuse('score=1')
  for (const name of ['ndcg@10', 'log_loss', 'pnr']) assert.is(alone[name], metrics[name])
  const fitted = await fuse('fit')
  const given = ['score', 'skip_score', 'dwell_score'].map(head => `${head}=${fitted[`weight ${head}`]}`)
  assert.equal(await fuse(given.join(',')), fitted)
  assert.ok(fitted.loss < alone.loss)
  assert.match(await fuse('score=1,skip=2'), /--fuse score=1,skip=2: 'skip=2', expected fit, or a head once/)
  assert.match(await fuse('fit', '--group-by', 'bucket'), /expected no --group-by/)
  const out = join(folder, 'scores.parquet')
  const predicted = await kernelgrad('predict', '--model', whole, '--data', files.annotated!, '--out', out)
  assert.is(predicted.code, 0, predicted.err)
  const { score, skip_score, dwell_score } = await readColumns(await openParquet(out), [
    'score',
    'skip_score',
    'dwell_score',
  ])
  assert.ok([score, skip_score, dwell_score].every(values => values!.every(Number.isFinite)))
  assert.ok(!existsSync(join(folder, 'nothing')))
})

test('wrong configurations are refused by key, value and what was expected', async () => {
  const encoder = config().pretrained_model_config
  for (const [more, says] of [
    [{ mlm: { probability: 0 } }, /mlm\.probability: expected a number above 0 and below 1, got 0/],
    [{ mlm: { probability: 1 } }, /mlm\.probability: expected a number above 0 and below 1, got 1/],
    [
      { mlm: { probability: Number.NaN } },
      /mlm\.probability: expected a number above 0 and below 1, got NaN/,
    ],
    [
      { mlm: { share: 0.3 } },
      /mlm: unknown key "share"|mlm\.?: ?probability is missing|mlm: missing key "probability"|mlm: probability is missing/,
    ],
    [
      { mlm: { probability: 0.1, columns: ['body'] } },
      /mlm: columns names 'body', which is no text; expected some of 'query', 'title', 'abstract'/,
    ],
    [{ mlm: { probability: 0.1, columns: [] } }, /mlm: columns is empty/],
    [
      { mlm: { probability: 0.1, columns: ['title'] } },
      /leaves out 'abstract', which is in the segment of a text that it names/,
    ],
    [{ heads: { like: {} } }, /heads: unknown key "like"; allowed keys: skip, dwell/],
    [{ heads: { skip: { weight: -1 } } }, /heads\.skip\.weight: expected a number of at least 0, got -1/],
    [
      { heads: { skip: { column: 'title' } } },
      /heads: skip learns from the column 'title', which the model reads as something else/,
    ],
    [{ heads: { dwell: { column: 'label' } } }, /heads: dwell learns from the column 'label'/],
    [{ segments: { query: 0, title: 2, abstract: 1 } }, /segments: 'title' is in 2, expected 0 to 1/],
    [{ segments: { query: 0, title: 1 } }, /segments: 'abstract' is in none, expected 0 to 1/],
    [{ segments: { body: 0 } }, /segments: 'body' is no text/],
    [{ segments: 3 }, /segments: expected a token type by text, got 3/],
    [{ cls_token_id: 70 }, /cls_token_id: 70, expected a token below vocab_size 70/],
    [{ mask_token_id: 1 }, /mask_token_id is 1, as sep_token_id, expected a token of its own/],
    [{ cls_token_id: 0 }, /cls_token_id is 0, as pad_token_id/],
    [
      { features_config: { price: { dtype: 'numerical' } } },
      /feature 'price' has dtype 'numerical', expected 'token_id'/,
    ],
    [
      { features_config: { title: { dtype: 'categorical', vocab_size: 5, embedding_size: 2 } } },
      /feature 'title' has dtype 'categorical', expected 'token_id' or 'text'/,
    ],
    [{ features_config: {} }, /features_config has no feature/],
    [
      { features_config: { title: { dtype: 'token_id', vocab_size: 99 } } },
      /feature 'title' has vocab_size 99, but the encoder's is 70/,
    ],
    [{ pretrained_model_config: { ...encoder, model_type: 'distilbert' } }, /pretrained_model_config/],
    [{ use_pretrained: true }, /use_pretrained is true, expected model_name/],
    [{ loss: 'ips_pointwise' }, /propensities/],
    [{ mlm_probability: 0.1 }, /unknown key "mlm_probability"/],
  ] as const)
    assert.match(await messageOf(() => new kg.CrossEncoder(config(more))), says)
})

test('files that cannot be learned from are refused before the first step, by file, row and value', async () => {
  const names = ['list', 'position', 'query', 'title', 'abstract', 'label', 'skip', 'dwell'] as const
  const columns = await readColumns(await openParquet(files.train), [...names])
  const kinds = { list: 'int64', position: 'int64', label: 'int64', skip: 'int64', dwell: 'double' } as const
  const write = (name: string, changed: Record<string, unknown[]>, without: string[] = []) =>
    writeParquet(
      join(folder, name),
      names
        .filter(one => !without.includes(one))
        .map(one => ({
          name: one,
          kind: one in kinds ? kinds[one as keyof typeof kinds] : 'list<int64>',
          data: changed[one] ?? columns[one]!,
        })) as never,
    )
  const at = (name: (typeof names)[number], row: number, value: unknown) => ({
    [name]: columns[name]!.map((one, i) => (i === row ? value : one)),
  })
  const model = new kg.CrossEncoder(config())
  const read = async (name: string, changed: Record<string, unknown[]>, without?: string[]) => {
    await write(name, changed, without)
    return messageOf(() => kg.loadDataset(join(folder, name), readOptions(model)))
  }
  assert.match(
    await read('place.parquet', at('position', 2, 10)),
    /place\.parquet: column position, row 2: value 10, expected 0 to 9/,
  )
  assert.match(await read('noplace.parquet', {}, ['position']), /noplace\.parquet has no column '?position/)
  assert.match(await read('noskip.parquet', {}, ['skip']), /noskip\.parquet has no column '?skip/)
  assert.match(await read('nodwell.parquet', {}, ['dwell']), /nodwell\.parquet has no column '?dwell/)
  assert.match(
    await read('label.parquet', at('label', 5, -1)),
    /label\.parquet: column label, row 5: value -1, expected a finite float32 number of at least 0/,
  )
  assert.match(
    await read('dwell.parquet', at('dwell', 4, -3)),
    /dwell\.parquet: column dwell, row 4: value -3, expected .* of at least 0/,
  )
  assert.match(
    await read('skip.parquet', at('skip', 1, 2)),
    /skip\.parquet: column skip, row 1: value 2, expected 0 to 1/,
  )
  assert.match(
    await read('token.parquet', at('title', 3, [70])),
    /token\.parquet: column title, row 3: value 70, expected 0 to 69/,
  )
  // Batches by hand.
  model.to(gpu, { seed: 1 })
  const data = await kg.loadDataset(files.train, readOptions(model))
  const batch = collate(data, [0, 1], model.inputs)
  for (const [input, says] of [
    ['masked', /the batch lacks hidden tokens, which it learns from as 'masked'/],
    ['skip', /the batch lacks the column 'skip'/],
    ['dwell', /the batch lacks the column 'dwell'/],
    ['positions', /the batch lacks the column 'position', which the loss 'two_tower' reads/],
    ['lists', /the batch lacks the lists of list/],
    ['labels', /the batch lacks the column 'label'/],
    ['text', /needs a batch with text/],
  ] as const)
    assert.match(await messageOf(() => model.loss({ ...batch, [input]: undefined } as never)), says)
  assert.match(
    await messageOf(() => model.loss({ ...batch, lists: Uint32Array.of(0, 2, 2) })),
    /list 1 has no documents/,
  )
  const far = { ...batch.text, typeIds: batch.text.typeIds!.map(type => type * 2) }
  assert.match(await messageOf(() => model.loss({ ...batch, text: far })), /2/)
  assert.match(await messageOf(() => model.scores(null as never)), /CrossEncoder: batch is null/)
})

test.run()
