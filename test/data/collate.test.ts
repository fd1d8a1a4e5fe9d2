import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FeatureInputOptions, type FeaturesConfig, featureInputs } from '../../src/config/index.ts'
import { collate } from '../../src/data/collate.ts'
import { collatePadded } from '../../src/data/collate-padded.ts'
import type { TokenLists } from '../../src/data/columns.ts'
import type { Columns } from '../../src/data/dataset.ts'
import { randomStream, shuffledOrder } from '../../src/data/shuffle.ts'
import { DataError, ShapeError } from '../../src/errors.ts'
import { type GroupedIds, groupIds } from '../../src/ids.ts'
import type { CollatedTokens } from '../../src/inputs.ts'

const PAD = 9

function lists(rows: number[][]): TokenLists {
  const offsets = [0]
  for (const row of rows) offsets.push(offsets.at(-1)! + row.length)
  return { values: Uint32Array.from(rows.flat()), offsets: Uint32Array.from(offsets) }
}

const features: FeaturesConfig = {
  title: { dtype: 'token_id' },
  gender: { dtype: 'categorical', vocab_size: 3 },
  query: { dtype: 'token_id' },
  depth: { dtype: 'numerical' },
  sex: { dtype: 'categorical', vocab_size: 3, share_embedding: 'gender' },
}
const inputs = (options: FeatureInputOptions = {}, of = features) =>
  featureInputs(of, { padTokenId: PAD, ...options })

const columns: Columns = {
  length: 5,
  rowStart: 100,
  lists: {
    title: lists([[1, 9, 3], [], [9, 9], [9, 4], [5]]),
    query: lists([[2], [], [9], [], [5, 9, 5]]),
  },
  ids: {
    gender: Uint32Array.of(0, 1, 2, 0, 1),
    sex: Uint32Array.of(2, 2, 2, 2, 2),
    label: Uint32Array.of(0, 1, 0, 1, 0),
  },
  floats: { depth: Float32Array.of(0, 0.25, 0.5, 0.75, 1) },
}

const plain = ({ tokens, inputIds, positionIds, keyMask, cuSeqlens, rowIds }: CollatedTokens) => ({
  tokens,
  ids: [...inputIds.ids],
  positions: [...positionIds.ids],
  mask: [...keyMask],
  cu: [...cuSeqlens],
  rows: [...rowIds],
})

function messageOf(run: () => unknown, type: typeof DataError | typeof ShapeError = DataError): string {
  try {
    run()
  } catch (error) {
    assert.instance(error, type)
    return (error as Error).message
  }
  throw new Error('expected an error')
}

/** Checks groups against their definition: every position but padding once, ascending within its row. */
function checkGroups({ ids, rows, offsets, positions }: GroupedIds, padding?: number) {
  const kept = [...ids.keys()].filter(i => ids[i] !== padding)
  assert.equal(
    [...positions].sort((a, b) => a - b),
    kept,
  )
  assert.equal(
    [...rows],
    [...new Set(kept.map(i => ids[i]!))].sort((a, b) => a - b),
  )
  assert.is(offsets.length, rows.length + 1)
  assert.is(offsets[0], 0)
  assert.is(offsets[rows.length], positions.length)
  for (let u = 0; u < rows.length; u++) {
    const segment = [...positions.subarray(offsets[u], offsets[u + 1])]
    assert.ok(segment.length > 0)
    for (const [k, at] of segment.entries()) {
      assert.is(ids[at], rows[u])
      if (k > 0) assert.ok(at > segment[k - 1]!)
    }
  }
}

test('lists are joined, masked tokens leave holes, empty rows stay', () => {
  const batch = collate(columns, [0, 1, 2, 3, 4], inputs())
  assert.equal(plain(batch.text!), {
    tokens: 7,
    ids: [1, 3, 2, 4, 5, 5, 5],
    positions: [0, 2, 3, 1, 0, 1, 3],
    mask: [1, 1, 1, 1, 1, 1, 1],
    cu: [0, 3, 3, 3, 4, 7],
    rows: [0, 0, 0, 3, 4, 4, 4],
  })
})

test('the order of rows is the order asked for, and rows name their source', () => {
  const batch = collate(columns, Uint32Array.of(4, 0), inputs())
  assert.is(batch.size, 2)
  assert.equal(batch.rows, [104, 100])
  assert.equal([...batch.labels!], [0, 0])
  assert.equal([...batch.numerical.depth!], [1, 0])
  assert.equal([...batch.categorical.gender!.ids], [1, 0])
  assert.equal(Object.keys(batch.categorical), ['gender', 'sex'])
  assert.equal([...batch.text!.cuSeqlens], [0, 3, 6])
})

test('keepFirst keeps position 0 of every row, masked where it is padding or missing', () => {
  const batch = collate(columns, [0, 1, 2, 3], inputs({ keepFirst: true }))
  assert.equal(plain(batch.text!), {
    tokens: 7,
    ids: [1, 3, 2, 9, 9, 9, 4],
    positions: [0, 2, 3, 0, 0, 0, 1],
    mask: [1, 1, 1, 0, 0, 0, 1],
    cu: [0, 3, 4, 5, 7],
    rows: [0, 0, 0, 1, 2, 3, 3],
  })
  assert.not.ok(batch.text!.inputIds.rows.includes(PAD), 'the padding row gets no gradient')
  checkGroups(batch.text!.inputIds, PAD)
  checkGroups(batch.text!.positionIds)
})

test('a batch without a kept token, and one without rows', () => {
  const none = collate(columns, [1, 2], inputs()).text!
  assert.is(none.tokens, 0)
  assert.is(none.keyMask.length, 0)
  assert.is(none.inputIds.rows.length, 0)
  assert.equal([...none.inputIds.offsets], [0])
  assert.equal([...none.cuSeqlens], [0, 0, 0])
  const empty = collate(columns, [], inputs())
  assert.is(empty.size, 0)
  assert.equal([...empty.text!.cuSeqlens], [0])
})

test('texts that are too long', () => {
  const short = inputs({ maxPositions: 3 })
  assert.is(
    messageOf(() => collate(columns, [1, 0], short)),
    'row 100 has a text of 4 tokens, expected at most 3 (max_position_embeddings); truncate (--truncate on the command line) cuts such texts',
  )
  const cut = collate(columns, [0, 4], short, { truncate: true }).text!
  assert.equal([...cut.inputIds.ids], [1, 3, 5, 5])
  assert.equal([...cut.positionIds.ids], [0, 2, 0, 1])
  const long = { ...columns, length: 1, lists: { title: lists([Array(513).fill(1)]), query: lists([[]]) } }
  assert.match(
    messageOf(() => collate(long, [0], inputs())),
    'a text of 513 tokens, expected at most 512',
  )
})

test('ids out of range name feature, row and value', () => {
  assert.is(
    messageOf(() => collate(columns, [0, 4], inputs({ padTokenId: 3, vocabSize: 5 }))),
    'feature title, row 100: value 9, expected 0 to 4',
  )
  const ids = { ...columns.ids, sex: Uint32Array.of(0, 3, 0, 0, 0) }
  assert.is(
    messageOf(() => collate({ ...columns, ids }, [2, 1], inputs())),
    'feature sex, row 101: value 3, expected 0 to 2',
  )
  assert.match(
    messageOf(() => collate(columns, [5], inputs())),
    'row 5 is asked for',
  )
})

test('padded ids with a mask give the same batch as lists', () => {
  const inputIds = [
    [1, 9, 3, 2],
    [9, 9, 9, 9],
    [9, 9, 9, 9],
    [9, 4, 9, 9],
    [5, 5, 9, 5],
  ]
  const attentionMask = inputIds.map(row => row.map(id => (id === PAD ? 0 : 1)))
  for (const keepFirst of [false, true]) {
    const expected = collate(columns, [0, 1, 2, 3, 4], inputs({ keepFirst }))
    const { label, ...categorical } = columns.ids
    const rest = { categorical, numerical: columns.floats, labels: label! }
    const flat = { data: BigInt64Array.from(inputIds.flat(), BigInt), shape: [5, 4] }
    for (const ids of [inputIds, flat]) {
      const got = collatePadded({ inputIds: ids, attentionMask, ...rest }, { padTokenId: PAD, keepFirst })
      assert.equal({ ...got, rows: expected.rows }, expected)
      assert.equal(collatePadded({ inputIds: ids, ...rest }, { padTokenId: PAD, keepFirst }), got)
    }
  }
})

test('a mask may keep padding ids and drop others; table-only batches work', () => {
  const inputIds = [[9, 1, 2]]
  const batch = collatePadded({ inputIds, attentionMask: [[1, 0, 1]] }, { padTokenId: PAD })
  assert.equal(plain(batch.text!).ids, [9, 2])
  checkGroups(batch.text!.inputIds, PAD)
  const table = collatePadded({ numerical: { depth: [1, 2] } }, { padTokenId: PAD })
  assert.is(table.size, 2)
  assert.is(table.text, undefined)
})

test('padded batches are checked', () => {
  const options = { padTokenId: PAD, vocabSize: 10, categories: { gender: 3 }, numLabels: 2 }
  const bad = (padded: Parameters<typeof collatePadded>[0], type?: typeof ShapeError) =>
    messageOf(() => collatePadded(padded, options), type)
  assert.is(
    bad({
      inputIds: [
        [1, 2],
        [3, 10],
      ],
    }),
    'feature inputIds, row 1: value 10, expected 0 to 9',
  )
  assert.is(bad({ categorical: { gender: [0, 3] } }), 'feature gender, row 1: value 3, expected 0 to 2')
  assert.is(bad({ categorical: { gender: [0.5] } }), 'feature gender, row 0: value 0.5, expected 0 to 2')
  assert.is(bad({ labels: [0, -1] }), 'feature labels, row 1: value -1, expected 0 to 1')
  assert.match(bad({ numerical: { depth: [Number.NaN] } }), 'feature depth, row 0: value NaN')
  assert.match(bad({ inputIds: [[1, 2], [3]] }, ShapeError), 'row 1 has 1 ids, expected 2')
  assert.match(bad({ inputIds: [[1, 2]], attentionMask: [[1]] }, ShapeError), 'attentionMask is [1, 1]')
  assert.match(bad({ inputIds: [[1]], labels: [0, 1] }, ShapeError), 'labels has 2 rows')
})

test('groups of random ids cover every position once', () => {
  const random = randomStream(11)
  for (let run = 0; run < 200; run++) {
    const range = 1 + random.below(run % 3 === 0 ? 2 ** 31 : 20)
    const ids = Uint32Array.from({ length: random.below(60) }, () => random.below(range))
    const padding = run % 2 ? random.below(range) : undefined
    checkGroups(padding === undefined ? groupIds(ids) : groupIds(ids, padding), padding)
  }
})

test('random rows: packed tokens are the unpadded ones, in order', () => {
  const random = randomStream(12)
  for (let run = 0; run < 50; run++) {
    const rows = Array.from({ length: 1 + random.below(9) }, () =>
      Array.from({ length: random.below(12) }, () => random.below(10)),
    )
    const data: Columns = {
      length: rows.length,
      rowStart: 0,
      lists: { title: lists(rows) },
      ids: {},
      floats: {},
    }
    const { inputIds, positionIds, cuSeqlens, rowIds } = collate(
      data,
      [...rows.keys()],
      inputs({}, { title: { dtype: 'token_id' } }),
    ).text!
    for (const [b, row] of rows.entries()) {
      const [start, end] = [cuSeqlens[b]!, cuSeqlens[b + 1]!]
      assert.equal(
        [...inputIds.ids.subarray(start, end)],
        row.filter(id => id !== PAD),
      )
      assert.equal(
        [...positionIds.ids.subarray(start, end)],
        [...row.keys()].filter(s => row[s] !== PAD),
      )
      assert.ok(rowIds.subarray(start, end).every(r => r === b))
    }
  }
})

test('shuffled orders are permutations, equal for equal seed and epoch, different otherwise', () => {
  const order = shuffledOrder(1000, 42, 0)
  assert.equal(
    [...order].sort((a, b) => a - b),
    [...Array(1000).keys()],
  )
  assert.equal(order, shuffledOrder(1000, 42, 0))
  // Frozen, so that a run of an older version can be repeated.
  assert.equal([...shuffledOrder(8, 42, 3)], [4, 2, 0, 1, 5, 7, 3, 6])
  for (const other of [
    shuffledOrder(1000, 42, 1),
    shuffledOrder(1000, 43, 0),
    shuffledOrder(1000, 42 + 2 ** 32, 0),
  ]) {
    const same = order.filter((row, i) => other[i] === row).length
    assert.ok(same < 15, `${same} of 1000 rows stayed in place`)
  }
  assert.is(shuffledOrder(0, 1, 1).length, 0)
  assert.equal([...shuffledOrder(1, 1, 1)], [0])
})

test('random numbers have the moments they should', () => {
  const random = randomStream(3)
  let [sum, square, uniform] = [0, 0, 0]
  const n = 40_000
  const buckets = new Array(7).fill(0)
  for (let i = 0; i < n; i++) {
    const x = random.normal()
    sum += x
    square += x * x
    uniform += random.uniform()
    buckets[random.below(7)]++
  }
  assert.ok(Math.abs(sum / n) < 0.02)
  assert.ok(Math.abs(square / n - 1) < 0.03)
  assert.ok(Math.abs(uniform / n - 0.5) < 0.006)
  for (const count of buckets) assert.ok(Math.abs(count - n / 7) < 300)
})

test.run()
