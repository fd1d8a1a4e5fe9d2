// Tokens hidden for masked-language training: shares, what is never chosen, and what the draws follow from.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Columns, collate } from '../../src/data/index.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import type { Inputs } from '../../src/inputs.ts'

const [V, PAD, MASK, SPECIAL] = [60, 57, 58, [0, 59]]
const inputs = {
  text: {
    kind: 'text',
    columns: [{ name: 'title', dtype: 'token_id' }],
    rows: V,
    padTokenId: PAD,
    maxPositions: 40,
    keepFirst: true,
  },
  masked: { kind: 'masked', of: 'text', probability: 0.15, maskTokenId: MASK, specialTokenIds: SPECIAL },
} as const satisfies Inputs

const ROWS = 700
const random = randomStream(5)
const lengths = Array.from({ length: ROWS }, () => random.below(31))
const offsets = Uint32Array.from([0, ...lengths]).map((_, i, all) =>
  i ? all.slice(1, i + 1).reduce((a, b) => a + b, 0) : 0,
)
const values = Uint32Array.from({ length: offsets[ROWS]! }, () => random.below(V))
const columns: Columns = {
  length: ROWS,
  rowStart: 0,
  lists: { title: { values, offsets } },
  ids: {},
  floats: {},
}
const all = Uint32Array.from({ length: ROWS }, (_, i) => i)

test('15% of the real tokens are chosen: 80% become the mask, half of the rest a real token', () => {
  const { text, masked } = collate(columns, all, inputs, { seed: 3, epoch: 1 })
  const { ids } = text.inputIds
  const real = (id: number) => id !== PAD && id !== MASK && !SPECIAL.includes(id)
  const candidates = ids.filter((id, t) => text.keyMask[t] && real(id)).length
  const { positions, labels } = masked
  const share = positions.length / candidates
  assert.ok(Math.abs(share - 0.15) < 0.015, `${share}`)
  let [replaced, kept] = [0, 0]
  for (const [i, t] of positions.entries()) {
    assert.is(labels[i], ids[t])
    assert.ok(real(ids[t]!), `token ${ids[t]} is chosen`)
    const now = masked.inputIds.ids[t]!
    if (now === MASK) replaced++
    else if (now === ids[t]) kept++
    else assert.ok(real(now), `${now} stands in for ${ids[t]}`)
  }
  assert.ok(Math.abs(replaced / positions.length - 0.8) < 0.03, `${replaced} of ${positions.length}`)
  assert.ok(Math.abs(kept / positions.length - 0.1) < 0.03, `${kept} of ${positions.length}`)
  const chosen = new Set(positions)
  for (const [t, id] of ids.entries()) if (!chosen.has(t)) assert.is(masked.inputIds.ids[t], id)
  assert.equal(
    [...positions],
    [...positions].sort((a, b) => a - b),
  )
})

test('a row’s draws follow from seed, epoch and row, whatever else is in the batch', () => {
  const drawn = (rows: number[], options: { seed?: number; epoch?: number }) => {
    const { text, masked } = collate(columns, rows, inputs, options)
    return rows.map((_, b) => {
      const [start, end] = [text.cuSeqlens[b]!, text.cuSeqlens[b + 1]!]
      return [...masked.inputIds.ids.subarray(start, end)]
    })
  }
  const rows = [4, 600, 31, 77]
  const together = drawn(rows, { seed: 9, epoch: 2 })
  for (const [i, row] of rows.entries()) assert.equal(drawn([row], { seed: 9, epoch: 2 })[0], together[i])
  for (const other of [
    { seed: 9, epoch: 3 },
    { seed: 8, epoch: 2 },
  ])
    assert.not.equal(drawn(rows, other), together)
  assert.equal(drawn(rows, {}), drawn(rows, { seed: 0, epoch: 0 }))
})

test('texts without a token to choose', () => {
  const bare: Columns = {
    ...columns,
    length: 2,
    lists: { title: { values: Uint32Array.of(PAD, 0, 59, MASK), offsets: Uint32Array.of(0, 4, 4) } },
  }
  const { masked } = collate(bare, [0, 1], inputs, { seed: 1 })
  assert.is(masked.positions.length, 0)
  assert.is(masked.labels.length, 0)
  assert.equal([...masked.inputIds.ids], [PAD, 0, 59, MASK, PAD])
})

test.run()
