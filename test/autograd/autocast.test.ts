import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  allocateDense,
  attention,
  autocast,
  cast,
  concat,
  crossEntropy,
  DenseParameter,
  dropout,
  embedding,
  empty,
  firstToken,
  gelu,
  initialize,
  layerNorm,
  linear,
  meanPool,
  meanPoolConcat,
  noGrad,
  relu,
  reshape,
  scale,
  scope,
  softmax,
  sum,
  TableParameter,
  type Tensor,
  tensor,
} from '../../src/autograd/index.ts'
import * as reference from '../../src/reference/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { HALF_ROUNDING } from '../support/half.ts'

const gpu = await openTestGpu()

function parameters(shapes: number[][]): DenseParameter[] {
  const made = shapes.map(shape => new DenseParameter(shape, { kind: 'normal', std: 0.3 }))
  allocateDense(gpu, made)
  for (const [i, parameter] of made.entries()) initialize(parameter, 7, i)
  return made
}

/** Relative distance of two arrays, as vectors. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [apart, size] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    apart += (a[i]! - b[i]!) ** 2
    size += b[i]! ** 2
  }
  return Math.sqrt(apart / size)
}

const T = 11
const H = 12
const rows = () => ({
  keyMask: tensor(gpu, Uint32Array.of(1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1)),
  cuSeqlens: tensor(gpu, Uint32Array.of(0, 4, 4, 11)),
  rowIds: tensor(gpu, Uint32Array.of(0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2)),
})

test('an encoder layer in f16 has the results and gradients of float32, to its rounding', async () => {
  const table = new TableParameter([20, H], { kind: 'normal', std: 1 })
  table.allocate(gpu)
  initialize(table, 3, 50)
  const weights = parameters([
    [3 * H, H],
    [3 * H],
    [4 * H, H],
    [4 * H],
    [H, 4 * H],
    [H],
    [H],
    [H],
    [2, H + 3],
    [2],
  ])
  const [qkvW, qkvB, upW, upB, downW, downB, normW, normB, headW, headB] = weights as [
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
  ]
  const ids = seededInts(T, 1, 20)
  const extra = seeded(3 * 3, 4)
  const seen: Record<string, string> = {}
  const note = (name: string, x: Tensor) => {
    seen[name] = x.dtype
    return x
  }
  const forward = () => {
    const packed = rows()
    const x = note('embedding', embedding(table, ids))
    const attended = note('attention', attention(note('linear', linear(x, qkvW, qkvB)), packed, 3))
    const y = note('layerNorm', layerNorm(attended, normW, normB, { residual: x, eps: 1e-12 }))
    const up = note('fused gelu', linear(y, upW, upB, { activation: 'gelu' }))
    const down = linear(relu(gelu(up)), downW, downB)
    const dropped = dropout(down, 0.2, { seed: 1, layer: 1, step: 1 })
    const z = layerNorm(dropped, normW, normB, { residual: y })
    const features = note('meanPoolConcat', meanPoolConcat(z, packed, [tensor(gpu, extra, [3, 3])]))
    const logits = note('logits', linear(features, headW, headB))
    return crossEntropy(logits, tensor(gpu, Uint32Array.of(1, 0, 1)))
  }
  const run = async (dtype: 'f32' | 'f16') => {
    const loss = scope(() => {
      const result = autocast(dtype, forward)
      result.backward({ scale: 1024 })
      return result
    })
    const grads = await Promise.all([table, ...weights].map(parameter => parameter.readGrad()))
    table.zeroGrad()
    for (const weight of weights) weight.zeroGrad()
    return { loss: await loss.item(), grads }
  }
  const exact = await run('f32')
  assert.equal(new Set(Object.values(seen)), new Set(['f32']))
  const half = await run('f16')
  assert.equal(seen, {
    embedding: 'f16',
    linear: 'f16',
    attention: 'f16',
    layerNorm: 'f16',
    'fused gelu': 'f16',
    meanPoolConcat: 'f32',
    logits: 'f32',
  })
  assert.ok(half.loss !== exact.loss, 'halves were used')
  assert.ok(Math.abs(half.loss - exact.loss) < 4 * HALF_ROUNDING * exact.loss, `${half.loss} ${exact.loss}`)
  // A gradient passes about twenty roundings on its way, which add up as a random walk, and twice that.
  for (const [i, grad] of half.grads.entries()) {
    const apart = distance(grad, exact.grads[i]!)
    assert.ok(apart < 10 * HALF_ROUNDING, `gradient ${i} is ${apart} from float32's`)
  }
})

test('rows that are no multiple of four stay float32, and an inner autocast ends with its body', () => {
  scope(() => {
    const [even, odd] = parameters([
      [8, 6],
      [6, 8],
    ]) as [DenseParameter, DenseParameter]
    const x = tensor(gpu, seeded(5 * 6, 1), [5, 6])
    autocast('f16', () => {
      const y = linear(x, even)
      assert.is(y.dtype, 'f16', 'a float32 input of six columns makes eight halves')
      assert.is(linear(y, odd).dtype, 'f32')
      autocast('f32', () => assert.is(linear(x, even).dtype, 'f32'))
      assert.is(linear(x, even).dtype, 'f16')
      assert.throws(() =>
        autocast('f32', () => {
          throw new Error('inside')
        }),
      )
      assert.is(linear(x, even).dtype, 'f16')
    })
    assert.is(linear(x, even).dtype, 'f32')
  })
})

test('operations without halves of their own take them as float32', async () => {
  await scope(() => {
    const data = seeded(3 * 8, 5, 2)
    const values = reference.roundF16(data)
    const leaf = tensor(gpu, data, [3, 8], { requiresGrad: true })
    const x = cast(leaf, 'f16').keep()
    assert.is(cast(x, 'f16'), x)
    assert.equal(
      [softmax(x), sum(x), concat([x, x]), add(x, leaf), meanPool(x, oneRow())].map(y => y.dtype),
      ['f32', 'f32', 'f32', 'f32', 'f32'],
    )
    assert.equal(
      [add(x, x), scale(x, 2), reshape(x, [6, 4])].map(y => y.dtype),
      ['f16', 'f16', 'f16'],
    )
    const loss = add(sum(softmax(x)), add(sum(scale(add(x, x), 3)), sum(firstToken(x, oneRow()))))
    loss.backward()
    const [read, grad] = [x.read(), leaf.grad!.read()]
    return Promise.all([read, grad]).then(([read, grad]) => {
      assert.equal(read, Float32Array.from(values))
      // Softmax adds up to one whatever x is; the rest is 6, and 1 more in the first row.
      for (const [i, g] of grad.entries()) assert.ok(Math.abs(g - (i < 8 ? 7 : 6)) < 0.01, `[${i}] ${g}`)
    })
  })
})

const oneRow = () => ({
  keyMask: tensor(gpu, Uint32Array.of(1, 1, 1)),
  cuSeqlens: tensor(gpu, Uint32Array.of(0, 3)),
  rowIds: tensor(gpu, Uint32Array.of(0, 0, 0)),
})

test('a gradient that flows into an f16 tensor from two sides adds up, and leaves keep it', async () => {
  const x = scope(() => cast(tensor(gpu, Float32Array.of(1, 2, 3, 4)), 'f16'))
  x.requiresGrad = true
  for (let pass = 0; pass < 2; pass++) scope(() => sum(add(add(x, scale(x, 2)), scale(x, 0.5))).backward())
  assert.is(x.grad!.dtype, 'f16')
  assert.equal(await x.grad!.read(), new Float32Array(4).fill(7))
  x.dispose()
})

test('shapes that cannot be f16 are refused, and nothing is kept', () => {
  const before = gpu.memory.buffers
  scope(() => {
    assert.throws(
      () => empty(gpu, [3, 6], 'f16'),
      /last dimension is a multiple of 4, got shape \[3,6\]; use f32/,
    )
    const x = noGrad(() => cast(tensor(gpu, seeded(24, 1), [3, 8]), 'f16'))
    assert.throws(() => reshape(x, [4, 6]), /got shape \[4,6\]/)
    assert.throws(() => cast(tensor(gpu, seeded(6, 1)), 'f16'), /multiple of 4/)
    assert.is(x.bytes, 48)
  })
  assert.is(gpu.memory.buffers, before)
})

test.after(() => gpu.close())
test.run()
