// Hooks on gradients, as torch.Tensor.register_hook has them: of results, leaves, parameters, packed ones, and tables.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  allocateDense,
  DenseParameter,
  embedding,
  layerNorm,
  linear,
  packParameters,
  relu,
  scale,
  scope,
  sum,
  type Tensor,
  tensor,
} from '../../src/autograd/index.ts'
import { expectClose, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()

test('a result’s hook sees the sum of its uses, and what it returns flows on', async () => {
  const before = gpu.memory.buffers
  const x = tensor(gpu, [1, -2, 3], [3], { requiresGrad: true })
  const seen: Promise<Float32Array>[] = []
  scope(() => {
    const y = scale(x, 2)
    y.registerHook(grad => {
      seen.push(grad.read())
      return scale(grad, 10)
    })
    sum(add(add(y, relu(y)), y)).backward()
  })
  assert.equal(await Promise.all(seen), [Float32Array.of(3, 2, 3)])
  assert.equal(await x.grad!.read(), Float32Array.of(60, 40, 60))
  x.dispose()
  assert.is(gpu.memory.buffers, before)
})

test('a leaf’s hooks run in order once a pass, on that pass alone, until they are removed', async () => {
  const before = gpu.memory.buffers
  const x = tensor(gpu, [1, 2], [2], { requiresGrad: true })
  const seen: Promise<Float32Array>[] = []
  const looked = x.registerHook(grad => {
    seen.push(grad.read())
    return undefined
  })
  const doubled = x.registerHook(grad => scale(grad, 2))
  const pass = () => scope(() => sum(add(scale(x, 3), x)).backward())
  pass()
  pass()
  assert.equal(await Promise.all(seen), [Float32Array.of(4, 4), Float32Array.of(4, 4)])
  assert.equal(await x.grad!.read(), Float32Array.of(16, 16))
  doubled.remove()
  pass()
  assert.equal(await x.grad!.read(), Float32Array.of(20, 20))
  looked.remove()
  pass()
  assert.is(seen.length, 3)
  x.dispose()
  assert.is(gpu.memory.buffers, before)
})

test('a parameter’s hook changes what is added to its gradient; other parameters beside it stay as they are', async () => {
  const [rows, H] = [5, 7]
  const values = {
    x: uniform(rows * H, 1),
    weight: uniform(H, 2),
    bias: uniform(H, 3),
    dy: uniform(rows * H, 4),
  }
  const gradients = async (hook: boolean, frozenBias = false) => {
    const [weight, bias] = [denseParameter(gpu, values.weight, [H]), denseParameter(gpu, values.bias, [H])]
    bias.requiresGrad = !frozenBias
    const calls: number[] = []
    const pass = () =>
      scope(() => {
        const y = layerNorm(tensor(gpu, values.x, [rows, H]), weight, bias)
        y.backward({ seed: tensor(gpu, values.dy, [rows, H]) })
      })
    pass()
    if (hook) {
      weight.registerHook(grad => {
        calls.push(grad.size)
        return scale(grad, -3)
      })
    }
    pass()
    assert.equal(calls, hook ? [H] : [])
    return [await weight.readGrad(), await bias.readGrad()] as const
  }
  const [weight, bias] = await gradients(false)
  const [hooked, beside] = await gradients(true)
  expectClose(
    hooked,
    weight.map(v => -v), // once, and -3 times
    1e-6,
  )
  assert.equal(beside, bias)
  assert.equal((await gradients(true, true))[0], hooked)
})

test('parameters that lie side by side have hooks of their own', async () => {
  const before = gpu.memory.buffers
  const parts = [0, 1, 2].map(() => new DenseParameter([2, 3], { kind: 'constant', value: 0.5 }))
  const pack = packParameters(parts)
  const [arena] = allocateDense(gpu, parts)
  const x = uniform(4 * 3, 1)
  const dy = uniform(4 * 6, 2)
  const pass = () =>
    scope(() => linear(tensor(gpu, x, [4, 3]), pack).backward({ seed: tensor(gpu, dy, [4, 6]) }))
  pass()
  const plain = await Promise.all(parts.map(part => part.readGrad()))
  pack.zeroGrad()
  const seen: Promise<Float32Array>[] = []
  parts[1]!.registerHook(grad => {
    assert.equal(grad.shape, [2, 3])
    seen.push(grad.read())
    return scale(grad, 4)
  })
  pass()
  pass()
  const [first, second, third] = await Promise.all(parts.map(part => part.readGrad()))
  assert.equal(await seen[0], plain[1])
  assert.equal(
    first,
    plain[0]!.map(v => 2 * v),
  )
  assert.equal(
    second,
    plain[1]!.map(v => 8 * v),
  )
  assert.equal(
    third,
    plain[2]!.map(v => 2 * v),
  )
  gpu.release(arena!.weights)
  gpu.release(arena!.grads)
  assert.is(gpu.memory.buffers, before)
})

test('a table’s hook gets rows and values of each use', async () => {
  const table = tableParameter(gpu, uniform(5 * 4, 1), [5, 4])
  const before = gpu.memory.buffers
  const rows: number[][] = []
  const handle = table.registerHook(grad => {
    rows.push([...grad.rows])
    return scale(grad.values, 0.5)
  })
  const dy = uniform(3 * 4, 2)
  const pass = () =>
    scope(() => embedding(table, Uint32Array.of(4, 1, 4)).backward({ seed: tensor(gpu, dy, [3, 4]) }))
  pass()
  assert.equal(rows, [[1, 4]])
  const halved = await table.readGrad()
  table.zeroGrad()
  assert.is(gpu.memory.buffers, before)
  handle.remove()
  pass()
  const whole = await table.readGrad()
  assert.ok(whole.some(v => v !== 0))
  assert.equal(
    halved,
    whole.map(v => v / 2),
  )
  table.zeroGrad()
  assert.is(gpu.memory.buffers, before)
})

test('a hook records nothing, and its answer must fit', () => {
  const x = tensor(gpu, [1, 2], [2], { requiresGrad: true })
  x.registerHook(() => tensor(gpu, [1, 2, 3]))
  assert.throws(
    () => scope(() => sum(scale(x, 2)).backward()),
    /^a hook returned f32 \[3\] for a gradient that is f32 \[2\]$/,
  )
  const y = tensor(gpu, [1, 2], [2], { requiresGrad: true })
  const other = tensor(gpu, [1, 1], [2], { requiresGrad: true })
  let made: Tensor | undefined
  y.registerHook(grad => {
    made = add(grad, other)
    return made
  })
  scope(() => sum(scale(y, 2)).backward())
  assert.not(made!.requiresGrad)
  for (const used of [x, y, other]) used.dispose()
})

test.after(() => gpu.close())
test.run()
