// Pairs of a segment's rows and their ranks: gradients against differences, and what is refused.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { ShapeError } from '../../src/errors.ts'
import * as reference from '../../src/reference/index.ts'
import { gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const starts = Uint32Array.of(0, 3, 3, 4, 9)
const labels = Float32Array.of(2, 0, 1, 0, 3, 0, 0, 3, 1)
const values = Float32Array.of(1, 0.5, 0.2, 3, 1, 0.7, 0.2, 2, 0.1)

test('pairs: gradients agree with differences, whatever a pair counts', async () => {
  for (const kind of ['count', 'weights', 'swaps'] as const)
    await gradcheck(
      gpu,
      x => kg.segmentPairs(x!, kg.tensor(gpu, labels), starts, { kind, values: kg.tensor(gpu, values) }),
      x => reference.segmentPairs({ kind, x: x!, labels, values, starts }),
      [{ data: uniform(9, 6, { low: -2, high: 2 }), shape: [9] }],
    )
})

test('labels, values and ranks are constants; ranks are those of the oracle', async () => {
  const leaf = (data: Float32Array<ArrayBuffer>) => kg.tensor(gpu, data, [9, 1], { requiresGrad: true })
  const [x, y, v] = [leaf(values.slice()), leaf(labels.slice()), leaf(values.slice())]
  const discounts = kg.segmentDiscounts(x, starts, 2)
  assert.is(discounts.requiresGrad, false)
  assert.equal(discounts.shape, [9, 1])
  const expected = reference.segmentDiscounts({ x: values, starts, k: 2 })
  for (const [i, value] of (await discounts.read()).entries())
    assert.ok(Math.abs(value - expected[i]!) < 1e-6)
  kg.scope(() => kg.sum(kg.segmentPairs(x, y, starts, { kind: 'swaps', values: v })).backward())
  assert.ok((await x.grad!.read()).some(Boolean))
  assert.equal([y.grad ?? null, v.grad ?? null], [null, null])
})

test('what cannot be is refused by name', () => {
  const x = kg.tensor(gpu, values.slice())
  const short = kg.tensor(gpu, Float32Array.of(1, 2))
  for (const [work, says] of [
    [
      () => kg.segmentPairs(x, short, starts),
      /^segmentPairs: labels has shape \[2\], expected \[9\] or \[9, 1\]/,
    ],
    [() => kg.segmentPairs(x, x, starts, { kind: 'swaps' }), /^segmentPairs: values is undefined/],
    [() => kg.segmentPairs(x, x, starts, { kind: 'sum' as never }), /^segmentPairs: kind is 'sum'/],
    [() => kg.segmentPairs(x, x, starts, { value: x } as never), /'value' is unknown/],
    [() => kg.segmentPairs(x, x, Uint32Array.of(0, 4)), /^segmentPairs: starts ends at 4, expected 9/],
    [
      () => kg.segmentPairs(kg.tensor(gpu, [1, 2, 3, 4], [2, 2]), x, starts),
      /^segmentPairs: x has shape \[2, 2\]/,
    ],
    [() => kg.segmentDiscounts(x, starts, 0), /^segmentDiscounts: k is 0/],
    [() => kg.segmentDiscounts(x, Uint32Array.of(0, 5, 4, 9)), /starts\[2\] is 4 and the one before 5/],
  ] as [() => unknown, RegExp][])
    assert.throws(work, says)
  assert.throws(
    () => kg.segmentPairs(x, short, starts),
    (e: Error) => e instanceof ShapeError,
  )
})

test.after(() => gpu.close())
test.run()
