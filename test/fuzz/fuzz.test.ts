// A slice of `npm run fuzz`: a few hundred files of every format, always the same ones.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { randomStream } from '../../src/data/shuffle.ts'
import { FORMATS } from './formats.ts'
import { type Field, parseStruct, writeStruct } from './thrift-tree.ts'

const SEED = 20
/** Two rounds of every kind for Parquet, one for the others. */
const COUNTS: Record<string, number> = { parquet: 106, safetensors: 40, tokenizer: 13, report: 13 }

for (const [name, format] of Object.entries(FORMATS)) {
  test(`${name}: every file reads as it must, or ends in one clear error`, async () => {
    const outcomes = new Set<string>()
    for (let number = 0; number < (COUNTS[name] ?? 26); number++) {
      const made = await format.make(SEED, number)
      const { outcome, faults } = await format.read(made)
      assert.equal(
        faults,
        [],
        `${made.kind} of ${made.base.slice(0, 60)}: npm run fuzz -- --only ${name} --seed ${SEED} --case ${number}`,
      )
      outcomes.add(outcome)
    }
    // Damage that nothing refuses would mean that nothing was damaged.
    assert.ok(outcomes.has('refused'))
    if (name !== 'checkpoint') assert.ok(outcomes.has('equal'))
  })
}

test('a case is made again from its seed and number', async () => {
  for (const format of Object.values(FORMATS)) {
    const [once, again] = [await format.make(7, 11), await format.make(7, 11)]
    assert.equal(once, again)
  }
})

test('what the thrift writer writes, however spelled, its parser reads', () => {
  const random = randomStream(3)
  const struct = (depth: number): Field[] =>
    Array.from({ length: random.below(6) }, (_, i) => {
      const id = 1 + i * (1 + random.below(40))
      const pick = random.below(depth > 3 ? 3 : 5)
      if (pick === 0) return { id, type: 6, value: BigInt(random.bits()) - 2n ** 31n }
      if (pick === 1) return { id, type: 8, value: Uint8Array.of(1, 2, 3) }
      if (pick === 2) return { id, type: 1, value: true }
      if (pick === 3) return { id, type: 12, value: struct(depth + 1) }
      return {
        id,
        type: 9,
        value: { element: 12, items: Array.from({ length: random.below(20) }, () => struct(depth + 1)) },
      }
    })
  for (let n = 0; n < 50; n++) {
    const fields = struct(0)
    for (const spelling of [{}, { longIds: true }, { longLists: true, padded: true }])
      assert.equal(parseStruct(writeStruct(fields, spelling)).fields, fields)
  }
})

test.run()
