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
  refused(
    check({ columns: [{ name: 'query', dtype: 'text' }] }),
    /is joined and reads column 'query' as 'text'/,
  )
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
