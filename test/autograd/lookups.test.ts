// Runs again with the forms for GPUs.
// Lookups that stand side by side, read where they are, against tables looked up one by one and joined.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  autocast,
  cast,
  concatColumns,
  embedding,
  meanPoolConcat,
  mul,
  noGrad,
  scope,
  sum,
  type TableParameter,
  type Tensor,
  tensor,
} from '../../src/autograd/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { shardedGpu, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)
const B = 13
const WIDTHS = [4, 3, 8, 5]
const V = 9

const tables = (on = gpu) => WIDTHS.map((H, k) => tableParameter(on, seeded(V * H, k), [V, H]))
/** Of a batch: the first table is looked up three times. */
const USES = [0, 1, 0, 2, 3, 0]
const idsOf = (use: number) => seededInts(B, 20 + use, V)

/** What `join` makes of the tables and two dense parts, and every gradient, with a weight for each column. */
async function run(
  given: TableParameter[],
  join: (lookups: { table: TableParameter; ids: Uint32Array }[], dense: Tensor[]) => Tensor,
) {
  const dense = [
    tensor(gpu, seeded(B * 2, 31), [B, 2], { requiresGrad: true }),
    tensor(gpu, seeded(B, 32), [B], { requiresGrad: true }),
  ]
  const lookups = USES.map((k, use) => ({ table: given[k]!, ids: idsOf(use) }))
  const { launches } = gpu.counts
  const y = join(lookups, dense).keep()
  const forward = gpu.counts.launches - launches
  scope(() => sum(mul(y, tensor(gpu, seeded(y.size, 33), y.shape))).backward())
  const values = [y, ...dense.map(part => part.grad!)].map(part => part.read())
  const read = [...(await Promise.all(values))]
  for (const table of given) {
    read.push(await table.readGrad())
    table.zeroGrad()
  }
  return { forward, shape: y.shape, values: read.map(bits) }
}

const looked = (lookups: { table: TableParameter; ids: Uint32Array }[]) =>
  lookups.map(({ table, ids }) => embedding(table, ids))

test('columns and gradients are those of lookups joined afterwards, to the bit; a table may be looked up often', async () => {
  const given = tables()
  const together = await run(given, (lookups, [a, b]) => concatColumns([a!, ...lookups, b!]))
  const apart = await run(given, (lookups, [a, b]) => concatColumns([a!, ...looked(lookups), b!]))
  assert.equal(together.shape, [B, 2 + 4 + 3 + 4 + 8 + 5 + 4 + 1])
  assert.equal(together.values, apart.values)
  await gpu.done()
  assert.is(together.forward, 2, 'eight parts are two launches')
})

test('tables in several shards, frozen tables, and lookups alone', async () => {
  const sharded = tables(shardedGpu(gpu, 4 * 8 * 4))
  assert.ok(sharded[2]!.shards.length > 1)
  sharded[1]!.requiresGrad = false
  const parts = (lookups: { table: TableParameter; ids: Uint32Array }[], [a, b]: Tensor[]) => [
    ...lookups,
    a!,
    b!,
  ]
  const together = await run(sharded, (lookups, dense) => concatColumns(parts(lookups, dense)))
  const apart = await run(sharded, (lookups, [a, b]) => concatColumns([...looked(lookups), a!, b!]))
  assert.equal(together.values, apart.values)
  const [table, ids] = [sharded[0]!, idsOf(0)]
  const alone = concatColumns([
    { table, ids },
    { table: sharded[3]!, ids },
  ])
  assert.ok(alone.requiresGrad)
  assert.not.ok(noGrad(() => concatColumns([{ table, ids }])).requiresGrad)
  scope(() => sum(alone).backward())
  assert.is(sharded[3]!.grads.length, 1)
})

test('beside a pooled text, in float32 and with halves', async () => {
  const given = tables()
  const starts = Uint32Array.from({ length: B + 1 }, (_, b) => 2 * b)
  const T = 2 * B
  const rows = {
    keyMask: tensor(gpu, new Uint32Array(T).fill(1)),
    cuSeqlens: tensor(gpu, starts),
    rowIds: tensor(
      gpu,
      Uint32Array.from({ length: T }, (_, t) => t >> 1),
    ),
  }
  const x = tensor(gpu, seeded(T * 8, 4), [T, 8])
  for (const dtype of ['f32', 'f16'] as const) {
    const pooled = (parts: Parameters<typeof meanPoolConcat>[2]) =>
      autocast(dtype, () => meanPoolConcat(dtype === 'f16' ? cast(x, 'f16') : x, rows, parts))
    const together = await run(given, (lookups, dense) => pooled([...lookups, ...dense]))
    const apart = await run(given, (lookups, dense) =>
      autocast(dtype, () => pooled([...looked(lookups), ...dense])),
    )
    assert.equal(together.values, apart.values, dtype)
  }
})

test('what does not stand beside the others is refused by its number', () => {
  const [table] = tables() as [TableParameter]
  const x = tensor(gpu, seeded(B * 2, 1), [B, 2])
  assert.throws(
    () => concatColumns([x, { table, ids: [0, 1] }]),
    /concat: part 0 has shape \[13,2\] and part 1 looks 2 ids up: they differ in rows/,
  )
  assert.throws(
    () => concatColumns([{ table, ids: [0, 9] }]),
    /concat: part 0\.id 9 at position 1 is out of range, the table has 9 rows/,
  )
  assert.throws(
    () => concatColumns([{ table: x as unknown as TableParameter, ids: [0] }]),
    /concat: part 0\.table is .*, expected a TableParameter/,
  )
  assert.throws(() => concatColumns([x, {} as unknown as Tensor]), /concat: part 1 is .*, expected a tensor/)
})

test.after(() => gpu.close())
test.run()
