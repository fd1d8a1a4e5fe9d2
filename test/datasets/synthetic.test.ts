import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { featureInputs } from '../../src/config/index.ts'
import { type Dataset, loadDataset } from '../../src/data/dataset.ts'
import { openParquet } from '../../src/data/parquet.ts'
import { shuffledOrder } from '../../src/data/shuffle.ts'
import { type SyntheticData, writeSyntheticKdd } from '../../src/datasets/synthetic.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-synthetic-'))
test.after(() => rmSync(root, { recursive: true }))

const made = await writeSyntheticKdd({ folder: join(root, 'a') })
const read = (data: SyntheticData, path: string) =>
  loadDataset(path, { inputs: featureInputs(data.features_config, { vocabSize: data.vocabSize }) })
const train = await read(made, made.train)
const held = await read(made, made.test)

/** Area under the ROC curve by ranks; ties share their mean rank. */
function rocAuc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  const order = Array.from(labels, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!)
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < order.length; ) {
    let end = start
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) end++
    for (let i = start; i < end; i++) {
      if (labels[order[i]!] === 1) {
        positives++
        rankSum += (start + end + 1) / 2
      }
    }
    start = end
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * (labels.length - positives))
}

/** Logistic regression over one-hot words and categories, one pass of plain SGD: what a linear model finds. */
function linearAuc(useTable: boolean): number {
  const sizes = { gender: 3, age: 6, advertiser_id: 200, user_id: 1000 }
  const table = Object.keys(sizes) as (keyof typeof sizes)[]
  const weights = new Float64Array(made.vocabSize + 1209 + 1)
  const inputs = (data: Dataset, row: number): [number, number][] => {
    const { values, offsets } = data.lists.tokenized_title!
    const words = values.subarray(offsets[row], offsets[row + 1])
    const active: [number, number][] = Array.from(words, word => [word, 1 / Math.sqrt(words.length)])
    let base = made.vocabSize
    for (const name of table) {
      if (useTable) active.push([base + data.ids[name]![row]!, 1])
      base += sizes[name]
    }
    active.push([base, 1])
    return active
  }
  const score = (active: [number, number][]) => active.reduce((sum, [at, x]) => sum + weights[at]! * x, 0)
  for (let epoch = 0; epoch < 2; epoch++)
    for (const row of shuffledOrder(train.length, 1, epoch)) {
      const active = inputs(train, row)
      const error = train.ids.label![row]! - 1 / (1 + Math.exp(-score(active)))
      for (const [at, x] of active) weights[at]! += 0.05 * error * x
    }
  return rocAuc(
    held.ids.label!,
    Array.from({ length: held.length }, (_, row) => score(inputs(held, row))),
  )
}

test('the files have the 17 columns in order and the asked sizes', async () => {
  const file = await openParquet(made.train)
  assert.equal(
    file.columns.join(' '),
    'click impression display_url ad_id advertiser_id depth position query_id keyword_id title_id description_id ' +
      'user_id label tokenized_title tokenized_query gender age',
  )
  assert.is(file.rows, 24_000)
  assert.is(held.length, 6_000)
  const kinds = Object.fromEntries(file.metadata.schema.map(element => [element.name, element.type]))
  assert.is(kinds.label, 'INT64')
  assert.is(kinds.gender, 'DOUBLE')
})

test('lengths, padding ids, clicks and skew are like traffic', () => {
  for (const [name, least, most] of [
    ['tokenized_title', 3, 11],
    ['tokenized_query', 1, 4],
  ] as const) {
    const { values, offsets } = train.lists[name]!
    const lengths = Array.from({ length: train.length }, (_, row) => offsets[row + 1]! - offsets[row]!)
    assert.is(Math.min(...lengths), least)
    assert.is(Math.max(...lengths), most)
    const lost = values.filter(id => id === made.padTokenId).length / values.length
    assert.ok(Math.abs(lost - 0.08) < 0.01, `${lost} of ${name} is out of vocabulary`)
  }
  const clicks = train.ids.label!.reduce((sum, label) => sum + label, 0) / train.length
  assert.ok(clicks > 0.15 && clicks < 0.25, `${clicks} clicks`)
  const first = train.ids.user_id!.filter(user => user < 10).length / train.length
  assert.ok(first > 0.25, `ten users make ${first} of the rows`)
  assert.ok(train.floats.depth!.every(depth => depth === 0 || depth === 0.5 || depth === 1))
})

test('the signal is there, in the text and well beyond it in the table', () => {
  const best = rocAuc(made.testLabels, made.testProbability)
  const text = linearAuc(false)
  const both = linearAuc(true)
  console.log(
    `    best possible ${best.toFixed(3)}, linear text ${text.toFixed(3)}, text and table ${both.toFixed(3)}`,
  )
  assert.ok(best > 0.78 && best < 0.92)
  assert.ok(text > 0.6)
  assert.ok(both > text + 0.05)
  assert.ok(best > both)
})

test('the same options give the same bytes, another seed others; planted.json records the truth', async () => {
  const sizes = { trainRows: 300, testRows: 100, vocabSize: 50, users: 20, advertisers: 10 }
  const b = await writeSyntheticKdd({ folder: join(root, 'b'), ...sizes })
  const c = await writeSyntheticKdd({ folder: join(root, 'c'), ...sizes })
  const d = await writeSyntheticKdd({ folder: join(root, 'd'), ...sizes, seed: 1 })
  assert.equal(readFileSync(b.train), readFileSync(c.train))
  assert.not.equal(readFileSync(b.train), readFileSync(d.train))
  const planted = JSON.parse(readFileSync(join(root, 'b', 'planted.json'), 'utf8'))
  assert.equal(planted.testProbability, [...b.testProbability])
  assert.equal(planted.testLabels, [...(await read(b, b.test)).ids.label!])
})

test.run()
