import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { featureInputs, parseFeatureSizes } from '../../src/config/index.ts'
import { loadDataset } from '../../src/data/index.ts'
import { type TextWorldRows, textCandidates, textWorld, writeTextWorld } from '../../src/datasets/index.ts'
import { rocAuc } from '../../src/metrics/index.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-text-world-'))
test.after(() => rmSync(root, { recursive: true }))

const world = textWorld({ trainRows: 60_000, testRows: 20_000, seed: 5 })
const column = (rows: TextWorldRows, name: string) => rows.columns.find(column => column.name === name)!.data
const texts = (rows: TextWorldRows, name: string) => column(rows, name) as ArrayLike<Uint32Array>
const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
/** Within five standard deviations of a share of n draws. */
const isShare = (found: number, share: number, n: number, says: string) =>
  assert.ok(
    Math.abs(found - share) < 5 * Math.sqrt((share * (1 - share)) / n),
    `${says}: ${found}, not ${share}`,
  )

test('topics are as likely as said, and texts are about them', () => {
  const { train } = world
  const n = train.labels.length
  for (let topic = 0; topic < 12; topic++)
    isShare(mean(train.queryTopic.map(t => Number(t === topic))), 1 / 12, n, `queries about ${topic}`)
  isShare(mean(train.queryTopic.map((t, i) => Number(t === train.adTopic[i]))), 0.4, n, 'ads of the topic')
  // What is not of the query's topic is spread over the other eleven.
  for (let apart = 1; apart < 12; apart++)
    isShare(
      mean(train.queryTopic.map((t, i) => Number((train.adTopic[i]! + apart) % 12 === t))),
      0.6 / 11,
      n,
      `ads ${apart} topics away`,
    )
  for (const [name, topics, least, most, share] of [
    ['tokenized_query', train.queryTopic, 1, 4, 0.85],
    ['tokenized_ad', train.adTopic, 3, 8, 0.8],
  ] as const) {
    const lists = Array.from(texts(train, name))
    for (let length = least; length <= most; length++)
      isShare(mean(lists.map(list => Number(list.length === length))), 1 / (most - least + 1), n, name)
    const tokens = lists.flatMap((list, i) => Array.from(list, token => [token, topics[i]!] as const))
    isShare(mean(tokens.map(([token, topic]) => Number(token % 12 === topic))), share, tokens.length, name)
    const counts = new Uint32Array(240)
    for (const [token] of tokens) counts[token]!++
    assert.is(
      tokens.length,
      counts.reduce((sum, value) => sum + value, 0),
      'no token is past the words',
    )
    for (const [token, found] of counts.entries())
      isShare(found / tokens.length, 1 / 240, tokens.length, `token ${token}`)
  }
})

test('clicks follow the formula, and the best AUC is where it was measured', () => {
  for (const { labels, probability, queryTopic, adTopic, columns } of [world.train, world.test]) {
    const depth = columns.find(({ name }) => name === 'depth')!.data as Float64Array
    assert.ok(depth.every(value => value >= 0 && value < 1))
    assert.ok(Math.abs(mean(depth) - 0.5) < 0.01)
    for (let i = 0; i < 500; i++) {
      const angle = (2 * Math.PI * (queryTopic[i]! - adTopic[i]!)) / 12
      const logit = -1.2 + 2.5 * Math.cos(angle) + 1.2 * (depth[i]! - 0.5)
      assert.ok(Math.abs(probability[i]! - 1 / (1 + Math.exp(-logit))) < 1e-12)
    }
    isShare(mean(labels), mean(probability), labels.length, 'clicks')
    assert.ok(Math.abs(mean(labels) - 0.487) < 0.02, `${mean(labels)} clicks`)
    const best = rocAuc(labels, probability)
    assert.ok(Math.abs(best - 0.851) < 0.01, `best ROC AUC ${best}`)
  }
})

test('a token by itself says nothing of a click', () => {
  const { train, test: held } = world
  for (const name of ['tokenized_query', 'tokenized_ad']) {
    const [clicks, seen] = [new Float64Array(240), new Float64Array(240)]
    Array.from(texts(train, name)).forEach((list, i) => {
      for (const token of list) {
        clicks[token]! += train.labels[i]!
        seen[token]!++
      }
    })
    const scores = Array.from(texts(held, name), list =>
      mean(Array.from(list, token => clicks[token]! / seen[token]!)),
    )
    assert.ok(Math.abs(rocAuc(held.labels, scores) - 0.5) < 0.02)
  }
  assert.ok(rocAuc(held.labels, column(held, 'depth') as Float64Array) > 0.54, 'depth says a little')
})

test('the same seed gives the same rows to the bit on every machine, and fewer rows are the first of more', () => {
  const hash = createHash('sha256')
  const { train, test: held } = textWorld({ trainRows: 400, testRows: 200, seed: 3 })
  for (const rows of [train, held]) {
    for (const list of [
      ...Array.from(texts(rows, 'tokenized_query')),
      ...Array.from(texts(rows, 'tokenized_ad')),
    ])
      hash.update(`${list.join(' ')}\n`)
    hash.update(rows.labels).update(column(rows, 'depth') as Float64Array)
  }
  assert.is(hash.digest('hex').slice(0, 16), FROZEN)
  const less = textWorld({ trainRows: 90, testRows: 0, seed: 3 }).train
  for (const { name, data } of less.columns)
    assert.equal(Array.from(data), Array.from(column(train, name)).slice(0, 90), name)
  assert.not.equal(
    texts(textWorld({ trainRows: 90, seed: 4 }).train, 'tokenized_ad'),
    texts(less, 'tokenized_ad'),
  )
})
const FROZEN = '370dd66c5f7fbb04'

test('candidates: every query with every ad, whose texts and topics are theirs wherever they stand', () => {
  const rows = textCandidates({ queries: 30, ads: 50, seed: 3 })
  const [queries, ads] = ['query_id', 'ad_id'].map(name => Array.from(column(rows, name), Number))
  assert.equal(
    queries,
    Array.from({ length: 1500 }, (_, i) => Math.floor(i / 50)),
  )
  assert.equal(
    ads,
    Array.from({ length: 1500 }, (_, i) => i % 50),
  )
  for (const [ids, name, topics] of [
    [queries!, 'tokenized_query', rows.queryTopic],
    [ads!, 'tokenized_ad', rows.adTopic],
  ] as const)
    for (const [i, id] of ids.entries()) {
      const first = ids.indexOf(id)
      assert.equal([texts(rows, name)[i], topics[i]], [texts(rows, name)[first], topics[first]])
    }
  assert.is(new Set(rows.queryTopic).size, 12)
  const depth = column(rows, 'depth') as Float64Array
  for (let i = 0; i < 1500; i++) {
    const angle = (2 * Math.PI * (rows.queryTopic[i]! - rows.adTopic[i]!)) / 12
    const logit = -1.2 + 2.5 * Math.cos(angle) + 1.2 * (depth[i]! - 0.5)
    assert.ok(Math.abs(rows.probability[i]! - 1 / (1 + Math.exp(-logit))) < 1e-12)
  }
  isShare(mean(rows.labels), mean(rows.probability), 1500, 'clicks')
  assert.equal(textCandidates({ queries: 30, ads: 50, seed: 3 }), rows)
  assert.not.equal(textCandidates({ queries: 30, ads: 50, seed: 4 }).labels, rows.labels)
  for (const [sizes, says] of [
    [{ queries: -1 }, /queries is -1/],
    [{ ads: 1.5 }, /ads is 1\.5/],
    [{ seed: Number.NaN }, /seed is NaN/],
    [{ query: 3 }, /'query' is unknown; expected queries, ads, seed/],
    [{ queries: 10_000, ads: 10_000 }, /queries times ads is 100000000/],
  ] as [object, RegExp][])
    assert.throws(() => textCandidates(sizes), says)
})

test('the files read as they say, and hold the truth', async () => {
  const [a, b] = [join(root, 'a'), join(root, 'b')]
  const made = await writeTextWorld({ folder: a, trainRows: 300, testRows: 100, seed: 2 })
  await writeTextWorld({ folder: b, trainRows: 300, testRows: 100, seed: 2 })
  assert.equal(readdirSync(a).sort(), ['features.json', 'planted.json', 'test.parquet', 'train.parquet'])
  for (const name of readdirSync(a)) assert.equal(readFileSync(join(a, name)), readFileSync(join(b, name)))
  const sizes = parseFeatureSizes(JSON.parse(readFileSync(made.features, 'utf8')), made.features)
  assert.equal(
    [sizes.rows.train, sizes.rows.test, sizes.vocab_size, sizes.pad_token_id],
    [300, 100, 242, 241],
  )
  const planted = JSON.parse(readFileSync(join(a, 'planted.json'), 'utf8'))
  assert.equal(planted.testProbability, [...made.testProbability])
  const inputs = featureInputs(made.features_config, {
    vocabSize: made.vocabSize,
    padTokenId: made.padTokenId,
  })
  const held = await loadDataset(made.test, { inputs })
  assert.equal([...held.ids.label!], [...made.testLabels])
  assert.is(
    sizes.clicks.test,
    made.testLabels.reduce((sum, label) => sum + label, 0),
  )
  assert.is(made.bestAuc, rocAuc(made.testLabels, made.testProbability))
  assert.is(planted.bestAuc, made.bestAuc)
})

test('sizes that cannot be are refused by name', async () => {
  for (const [sizes, message] of [
    [{ trainRows: -1 }, /textWorld: trainRows is -1, expected a whole number from 0/],
    [{ trainRows: 2.5 }, /trainRows is 2.5/],
    [{ testRows: 1e9 }, /testRows is 1000000000, expected a whole number from 0 to 10,000,000/],
    [{ testRows: '9' }, /testRows is '9'/],
    [{ seed: -3 }, /textWorld: seed is -3/],
    [{ seed: Number.NaN }, /textWorld: seed is NaN/],
    [{ sed: 3 }, /textWorld: sizes: .*sed/],
  ] as [object, RegExp][])
    assert.throws(() => textWorld(sizes), message)
  for (const [options, message] of [
    [undefined, /writeTextWorld: options is undefined/],
    [{}, /writeTextWorld: folder is undefined, expected a path/],
    [{ folder: 3 }, /writeTextWorld: folder is 3, expected a path/],
    [{ folder: root, rows: 3 }, /writeTextWorld: options: .*rows/],
  ] as [never, RegExp][])
    try {
      await writeTextWorld(options)
      assert.unreachable()
    } catch (error) {
      assert.match((error as Error).message, message)
    }
  for (const testRows of [0, 1])
    try {
      await writeTextWorld({ folder: join(root, 'none'), trainRows: 9, testRows })
      assert.unreachable()
    } catch (error) {
      assert.match((error as Error).message, /testRows is [01]: those have no click, or nothing else/)
    }
})

test.run()
