// What evaluations of lists refuse, from JavaScript too.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collatePadded } from '../../src/data/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import { checkInputs } from '../../src/inputs.ts'
import { ListEvaluation } from '../../src/metrics/index.ts'

function refused(work: () => unknown, says: RegExp): void {
  assert.throws(work, (error: Error) => {
    assert.instance(error, KernelgradError, error.stack)
    assert.match(error.message, says)
    return true
  })
}

test('options and lists that cannot be are refused by name', () => {
  for (const [options, says] of [
    [{ loss: 'hinge' }, /ListEvaluation: loss is 'hinge', expected 'pointwise' or 'pairwise' or 'listwise'/],
    [{ columns: 0 }, /columns is 0, expected a whole number of at least 1/],
    [{ columns: 2, click: 2 }, /click is 2, expected a column, 0 to 1/],
    [{ click: Number.NaN }, /click is NaN/],
    [{ k: 10 }, /'k' is unknown/],
    [null, /options is null/],
  ] as const)
    refused(() => new ListEvaluation(options as never), says)
  const add = (lists: object, scores: unknown, groups?: unknown) => () =>
    new ListEvaluation().addLists(lists as never, scores as never, groups as never)
  const lists = { labels: [0, 1, 2], starts: [0, 1, 3] }
  const scores = [0.1, 0.2, 0.3]
  refused(add(lists, [0.1, 0.2]), /3 labels need 3 scores, 1 a document, got 2/)
  refused(
    add({ ...lists, starts: [0, 0, 3] }, scores),
    /list 0 begins at 0 and the next at 0, expected one document or more/,
  )
  refused(add({ ...lists, starts: [0, 2] }, scores), /starts ends at 2, expected 3/)
  refused(add({ ...lists, labels: [0, -1, 2] }, scores), /the label of row 1 is -1/)
  refused(add(lists, [0, Number.NaN, 1]), /the score of row 1 is NaN/)
  refused(add(lists, scores, ['a', 'b']), /3 documents need a group each, got 2/)
  refused(
    add({ ...lists, rows: [7, 8, 9] }, scores, ['a', 'b', 'c']),
    /row 9 has the group 'c' and the first row of its list 'b', expected one group a list/,
  )
  refused(() => new ListEvaluation().result(), /no lists/)
  refused(
    () => new ListEvaluation().add({} as never, new Float32Array(2)),
    /needs labels, and the data has none/,
  )
  refused(
    () => new ListEvaluation().add({ labels: { label: Float32Array.of(1) } } as never, new Float32Array(1)),
    /needs the columns that tell lists apart/,
  )
})

test('what is refused adds nothing, and groups are there for all lists or for none', () => {
  const [two, one] = [
    { labels: [1, 0, 0, 2], starts: [0, 2, 4] },
    { labels: [0, 1], starts: [0, 2] },
  ]
  const evaluation = new ListEvaluation({ columns: 2, click: 1 })
  const bad = { ...two, rows: [5, 6, 7, 8] }
  refused(
    () => evaluation.addLists(bad, new Float32Array(8), ['a', 'a', 'b', 'c']),
    /row 8 has the group 'c' and the first row of its list 'b'/,
  )
  refused(
    () => evaluation.addLists(one, [1, 2, 3, Number.NaN], ['a', 'a']),
    /the score of a click of row 1 is NaN, expected a number/,
  )
  refused(() => evaluation.addLists(one, [1, 2, 3, 4], [['a'], ['a']]), /row 0 has the group an array of 1/)
  refused(() => evaluation.addLists(undefined as never, []), /lists is undefined, expected an object/)
  refused(() => evaluation.addLists({ label: [1] } as never, []), /'label' is unknown; did you mean 'labels'/)
  refused(() => evaluation.addLists(one, ['1', 2, 3, 4] as never, ['a', 'a']), /score of row 0 is '1'/)
  evaluation.addLists(two, [3, 0, 1, 0, 1, 0, 2, 0], ['a', 'a', 7, 7])
  refused(() => evaluation.addLists(one, [1, 0, 2, 0]), /lists from 2 on lack groups, unlike those before/)
  evaluation.addLists(one, [2, 0, 1, 0], ['7', '7']).addLists(one, [2, 0, 1, 0], [Number.NaN, Number.NaN])
  const result = evaluation.result()
  // By name: 7 and '7' are one group, and the click's column stays with its rows.
  assert.equal(
    ['lists', 'lists (a)', 'lists (7)', 'lists (NaN)'].map(name => result[name]),
    [4, 1, 2, 1],
  )
  assert.equal([result['ndcg@10 (a)'], result['log_loss (7)']], [1, Math.LN2])
  assert.is(result['ndcg@10 (7)'], (1 + 1 / Math.log2(3)) / 2)
  assert.equal(
    evaluation.listCurves().by_group.map(({ name, lists }) => [name, lists]),
    [
      ['7', 2],
      ['a', 1],
      ['NaN', 1],
    ],
  )
  const without = new ListEvaluation().addLists(one, [1, 2])
  refused(() => without.addLists(one, [1, 2], ['a', 'a']), /lists from 1 on have groups, unlike those before/)
  assert.is(without.result().lists, 1)
})

test('a stream of many lists gives what one piece gives', () => {
  const lists = 1_500
  const starts = Uint32Array.from({ length: lists + 1 }, (_, list) => 3 * list)
  const labels = Float32Array.from({ length: 3 * lists }, (_, i) => (i * 7) % 5)
  const scores = Float32Array.from({ length: 3 * lists }, (_, i) => ((i * 31) % 101) / 101)
  const whole = new ListEvaluation({ loss: 'pairwise' }).addLists({ labels, starts }, scores)
  const pieces = new ListEvaluation({ loss: 'pairwise' })
  for (let list = 0; list < lists; list += 700) {
    const [from, to] = [3 * list, Math.min(3 * (list + 700), 3 * lists)]
    const own = { labels: labels.subarray(from, to), starts: starts.slice(0, (to - from) / 3 + 1) }
    pieces.addLists(own, scores.subarray(from, to))
  }
  assert.equal(pieces.result(), whole.result())
  assert.is(whole.result().lists, lists)
})

test('texts with separators, and what is hidden of them, are declared whole or refused', () => {
  const text = {
    kind: 'text',
    columns: [
      { name: 'query', dtype: 'token_id' },
      { name: 'title', dtype: 'token_id', segment: 1 },
    ],
    rows: 20,
    padTokenId: 0,
    maxPositions: 16,
    joined: { first: 2, separator: 1 },
  }
  const masked = { kind: 'masked', of: 'text', probability: 0.1, maskTokenId: 3, specialTokenIds: [1, 2] }
  const check =
    (own: object, hidden: object = {}) =>
    () =>
      checkInputs('Mine', { text: { ...text, ...own }, masked: { ...masked, ...hidden } } as never)
  check({})()
  check({}, { segments: [1], alwaysMask: true })()
  refused(
    check({ joined: { first: 2 } }),
    /joined.separator undefined, expected a token id below 20 that is not padding/,
  )
  refused(check({ joined: { first: 0, separator: 1 } }), /joined.first 0/)
  refused(check({ joined: { first: 2, separator: 20 } }), /joined.separator 20/)
  refused(check({ joined: 'yes' }), /joined.first undefined/)
  refused(check({ joined: undefined }), /has column 'title' in a segment, and is not joined/)
  check({ columns: [{ name: 'query', dtype: 'text' }] })() // strings, column by column
  refused(check({ columns: [{ name: 'query', dtype: 'token_id', segment: -1 }] }), /in segment -1/)
  refused(check({}, { segments: [2] }), /has segments \[2\], expected some of those of 'text': 0, 1/)
  refused(check({}, { segments: [] }), /has segments \[\]/)
  refused(check({}, { alwaysMask: 1 }), /has alwaysMask 1, expected true or false/)
  refused(check({}, { lossOnly: true }), /is lossOnly and not trainOnly, expected both/)
  const numbers = { kind: 'floats', columns: ['grade'], least: Number.NaN }
  refused(() => checkInputs('Mine', { numbers } as never), /has least NaN, expected a number/)
})

test('token types of a padded batch go with its tokens', () => {
  const batch = {
    inputIds: [
      [5, 0, 6],
      [7, 8, 9],
    ],
    tokenTypeIds: [
      [0, 1, 1],
      [1, 0, 1],
    ],
  }
  const { text } = collatePadded(batch, { padTokenId: 0 })
  assert.equal([...text!.inputIds.ids], [5, 6, 7, 8, 9])
  assert.equal([...text!.typeIds!], [0, 1, 1, 0, 1])
  refused(
    () =>
      collatePadded(
        {
          ...batch,
          tokenTypeIds: [
            [0, 1],
            [1, 0],
          ],
        },
        { padTokenId: 0 },
      ),
    /tokenTypeIds is \[2, 2\], inputIds is \[2, 3\]/,
  )
  refused(
    () =>
      collatePadded(
        {
          ...batch,
          tokenTypeIds: [
            [0, 1, -1],
            [1, 0, 1],
          ],
        },
        { padTokenId: 0 },
      ),
    /tokenTypeIds, row 0: value -1/,
  )
})

test.run()
