// Operations as methods: each is the function of its name, and a chain of them is recorded like any other.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/index.ts'
import { scope, Tensor, tensor } from '../../src/index.ts'
import { uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

test('a chain of methods is what the functions are, gradient included', async () => {
  const [x, y] = [uniform(12, 1), uniform(4, 2)]
  const run = async (loss: (a: Tensor, b: Tensor) => Tensor) => {
    const [a, b] = [
      tensor(gpu, x, [3, 4], { requiresGrad: true }),
      tensor(gpu, y, [4], { requiresGrad: true }),
    ]
    const value = scope(() => {
      const value = loss(a, b).keep()
      value.backward()
      return value
    })
    const all = [await value.read(), await a.grad!.read(), await b.grad!.read()]
    for (const made of [a, b, value]) made.dispose()
    return all
  }
  assert.equal(
    await run((a, b) => a.mul(b).sub(0.5).sigmoid().sum(1).log().transpose(0, 0).mean()),
    await run((a, b) =>
      kg.mean(kg.transpose(kg.log(kg.sum(kg.sigmoid(kg.sub(kg.mul(a, b), 0.5)), 1)), 0, 0)),
    ),
  )
  assert.equal(
    await run((a, b) =>
      a
        .reshape([2, 6])
        .matmul(a.reshape([6, 2]))
        .max(1)
        .add(b.square().sum())
        .sum(),
    ),
    await run((a, b) =>
      kg.sum(
        kg.add(kg.max(kg.matmul(kg.reshape(a, [2, 6]), kg.reshape(a, [6, 2])), 1), kg.sum(kg.square(b))),
      ),
    ),
  )
})

test('every method is there, belongs to all tensors, and none hides what a tensor is', () => {
  const own = new Set(['shape', 'dtype', 'grad', 'kept', 'read', 'item', 'keep', 'dispose', 'free', 'retain'])
  const names = Object.getOwnPropertyNames(Tensor.prototype).filter(name => name in kg && !own.has(name))
  assert.ok(names.length > 50, `${names.length} methods`)
  for (const name of ['mul', 'sum', 'matmul', 'permute', 'topK', 'eq'])
    assert.type(tensor(gpu, [1])[name as 'neg'], 'function')
  assert.not('mul' in Object.keys(tensor(gpu, [1])))
})

test.after(() => gpu.close())
test.run()
