import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  allocateDense,
  clearTape,
  DenseParameter,
  embedding,
  gelu,
  initialize,
  linear,
  noGrad,
  packParameters,
  relu,
  reshape,
  scale,
  scope,
  sum,
  type Tensor,
  tensor,
  tiedCrossEntropy,
  tiedLinear,
  writeParameter,
} from '../../src/autograd/index.ts'
import { SGD } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const zero = { kind: 'constant', value: 0 } as const

test('gradients add up over backward passes until they are zeroed', async () => {
  const weight = new DenseParameter([2, 3], zero)
  allocateDense(gpu, [weight])
  writeParameter(weight, Float32Array.from([1, 2, 3, 4, 5, 6]))
  const step = (x: number[]) => scope(() => sum(linear(tensor(gpu, x, [1, 3]), weight)).backward())
  step([1, 10, 100])
  assert.equal(await weight.readGrad(), Float32Array.from([1, 10, 100, 1, 10, 100]))
  step([1, 1, 1])
  assert.equal(await weight.readGrad(), Float32Array.from([2, 11, 101, 2, 11, 101]))
  weight.zeroGrad()
  assert.equal(await weight.readGrad(), new Float32Array(6))
  step([0, 0, 5])
  assert.equal(await weight.readGrad(), Float32Array.from([0, 0, 5, 0, 0, 5]))
})

test('a scale multiplies the loss, for micro-batches', async () => {
  const x = tensor(gpu, [1, 2, 3], [3], { requiresGrad: true })
  sum(x).backward({ scale: 0.25 })
  sum(x).backward({ scale: 0.5 })
  assert.equal(await x.grad!.read(), Float32Array.from([0.75, 0.75, 0.75]))
  x.dispose()
})

test('noGrad records nothing', () => {
  const x = tensor(gpu, [1, 2], [2], { requiresGrad: true })
  const y = noGrad(() => sum(relu(x)))
  assert.not(y.requiresGrad)
  assert.throws(() => y.backward(), /recorded on the tape/)
  x.dispose()
  y.dispose()
})

test('no gradient flows to inputs that want none', async () => {
  const [x, w] = [
    tensor(gpu, seeded(6, 1), [2, 3]),
    tensor(gpu, seeded(12, 2), [4, 3], { requiresGrad: true }),
  ]
  scope(() => sum(linear(x, w)).backward())
  assert.is(x.grad, undefined)
  assert.ok(w.grad)
  x.dispose()
  w.dispose()
})

test('backward frees what the tape saved, keeps the loss and what was kept', async () => {
  const before = gpu.memory.buffers
  const x = tensor(gpu, seeded(8, 3), [8], { requiresGrad: true })
  const hidden = gelu(x)
  const kept = relu(hidden).keep()
  const loss = sum(scale(kept, 2))
  loss.backward()
  assert.ok(hidden.disposed)
  assert.throws(() => hidden.view, /used after its memory was freed/)
  assert.not(kept.disposed)
  assert.is(typeof (await loss.item()), 'number')
  for (const tensor of [x, kept, loss]) tensor.dispose()
  assert.is(gpu.memory.buffers, before)
})

test('a scope frees what it made except what it returns, also when it throws', () => {
  const before = gpu.memory.buffers
  const kept = scope(() => {
    tensor(gpu, [1, 2, 3])
    return { inner: [scope(() => [tensor(gpu, [1]), tensor(gpu, [2])])[0]!] }
  })
  assert.is(gpu.memory.buffers, before + 1)
  assert.throws(() =>
    scope(() => {
      tensor(gpu, [1])
      throw new Error('stop')
    }),
  )
  scope(() => kept)
  assert.is(gpu.memory.buffers, before + 1, 'an older tensor that passes through is not the scope’s')
  kept.inner[0]!.dispose()
  clearTape(gpu)
})

test('what a returned tensor shares the memory of outlives the scope, and is freed with it', async () => {
  const buffers = gpu.memory.buffers
  const y = scope(() => reshape(reshape(scale(tensor(gpu, [1, 2, 3, 4]), 2), [2, 2]), [4, 1]))
  const other = tensor(gpu, [9, 9, 9, 9])
  assert.equal([...(await y.read())], [2, 4, 6, 8])
  other.dispose()
  assert.is(gpu.memory.buffers, buffers + 1)
  y.dispose()
  assert.is(gpu.memory.buffers, buffers)
  scope(() => scope(() => reshape(scale(tensor(gpu, [1, 2]), 2), [2, 1])))
  const kept = scope(() => scope(() => reshape(scale(tensor(gpu, [1, 2]), 2), [2, 1])))
  assert.equal([...(await kept.read())], [2, 4])
  kept.dispose()
})

test('an input used by several operations gets the sum of their gradients', async () => {
  const x = tensor(gpu, [1, -2, 3], [3], { requiresGrad: true })
  scope(() => {
    const y = scale(x, 2)
    sum(add(add(y, relu(y)), add(y, y))).backward()
  })
  assert.equal(await x.grad!.read(), Float32Array.from([8, 6, 8]))
  x.dispose()
})

test('packed parameters share memory and gradients with their parts', async () => {
  const parts = [1, 2, 3].map(() => new DenseParameter([5, 3], zero))
  const pack = packParameters(parts)
  allocateDense(gpu, parts)
  for (const [i, part] of parts.entries()) writeParameter(part, seeded(15, i))
  const x = seeded(6, 9)
  const y = scope(() => linear(tensor(gpu, x, [2, 3]), pack).keep())
  const separate = scope(() =>
    parts.map((_, i) => linear(tensor(gpu, x, [2, 3]), tensor(gpu, seeded(15, i), [5, 3]))),
  )
  const [whole, ...each] = await Promise.all([y, ...separate].map(t => t.read()))
  for (let row = 0; row < 2; row++) {
    for (const [i, part] of each.entries()) {
      expectClose(
        whole!.subarray(row * 15 + i * 5, row * 15 + i * 5 + 5),
        part!.subarray(row * 5, row * 5 + 5),
        1e-6,
      )
    }
  }
  const seed = seeded(30, 4)
  scope(() => linear(tensor(gpu, x, [2, 3]), pack).backward({ seed: tensor(gpu, seed, [2, 15]) }))
  const gradient = await parts[1]!.readGrad()
  const expected = Float32Array.from({ length: 15 }, (_, i) => {
    const [n, k] = [5 + Math.floor(i / 3), i % 3]
    return seed[n]! * x[k]! + seed[15 + n]! * x[3 + k]!
  })
  expectClose(gradient, expected, 1e-6)
})

test('parameters that have changed since the forward pass are refused before anything is written', async () => {
  const dense = (shape: number[], stream: number) => {
    const made = new DenseParameter(shape, zero)
    return { made, values: seeded(made.size, stream) }
  }
  const [first, second, q, k, v] = [
    [4, 3],
    [2, 4],
    [3, 3],
    [3, 3],
    [3, 3],
  ].map((shape, i) => dense(shape, i + 1))
  const pack = packParameters([q!.made, k!.made, v!.made])
  const table = tableParameter(gpu, seeded(15, 9), [5, 3])
  const other = new DenseParameter([3, 3], { kind: 'constant', value: 1 })
  allocateDense(gpu, [first!.made, second!.made, pack, other])
  initialize(other, 1, 1)
  const all = [first!, second!, q!, k!, v!]
  for (const { made, values } of all) writeParameter(made, values)
  const bias = denseParameter(gpu, seeded(5, 4), [5])
  const optimizer = new SGD(gpu, [{ params: [...all.map(({ made }) => made), table, bias] }], { lr: 0.1 })
  const labels = tensor(gpu, Uint32Array.of(0, 1))
  const forwards = {
    linear: (x: Tensor) => sum(linear(relu(linear(x, first!.made)), second!.made)),
    pack: (x: Tensor) => sum(relu(linear(x, pack))),
    tiedLinear: (x: Tensor) => sum(relu(tiedLinear(x, table, bias))),
    tiedCrossEntropy: (x: Tensor) => sum(tiedCrossEntropy(x, table, bias, labels).losses),
  }
  const input = () => tensor(gpu, seeded(6, 5), [2, 3], { requiresGrad: true })
  const changes: [keyof typeof forwards, () => unknown, number[]][] = [
    ['linear', () => writeParameter(second!.made, second!.values), [2, 4]],
    ['linear', () => initialize(first!.made, 1, 0), [4, 3]],
    ['pack', () => writeParameter(k!.made, k!.values), [9, 3]],
    ['tiedLinear', () => writeParameter(table, seeded(15, 9)), [5, 3]],
    ['tiedCrossEntropy', () => initialize(table, 1, 0), [5, 3]],
    ['tiedCrossEntropy', () => writeParameter(bias, seeded(5, 4)), [5]],
  ]
  for (const name of Object.keys(forwards) as (keyof typeof forwards)[]) {
    const shape = { linear: [2, 4], pack: [9, 3], tiedLinear: [5], tiedCrossEntropy: [5] }[name]
    const step = () => {
      scope(() => forwards[name](input()).backward())
      optimizer.step()
      optimizer.zeroGrad()
    }
    changes.push([name, step, shape])
  }
  for (const [name, change, shape] of changes) {
    const loss = forwards[name](input())
    change()
    assert.throws(
      () => loss.backward(),
      new RegExp(
        `^backward: a parameter of shape \\[${shape}\\] has changed since ${name === 'pack' ? 'linear' : name} took it, by an optimizer's step or by being written`,
      ),
    )
    assert.not(
      [first!.made, second!.made, pack, table, bias].some(({ hasGrad }) => hasGrad),
      name,
    )
    // Computed again, and while a parameter that it does not take changes.
    for (const { made, values } of all) writeParameter(made, values)
    writeParameter(table, seeded(15, 9))
    const x = input()
    const again = forwards[name](x)
    writeParameter(other, new Float32Array(9).fill(2))
    again.backward()
    assert.ok((await x.grad!.read()).some(value => value !== 0))
    optimizer.zeroGrad()
  }
  // A lookup's gradient takes nothing of the table's.
  const looked = sum(embedding(table, Uint32Array.of(1, 1, 4)))
  writeParameter(table, seeded(15, 3))
  looked.backward()
  assert.equal(await table.readGrad(), Float32Array.from([0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1]))
  optimizer.dispose()
  table.free()
})

test('wrong shapes are refused by name', () => {
  const [x, w] = [tensor(gpu, seeded(6, 1), [2, 3]), tensor(gpu, seeded(8, 1), [2, 4])]
  assert.throws(() => linear(x, w), /linear: weight has shape \[2,4\], expected \[2,3\]/)
  assert.throws(() => add(x, w), /^add: shapes \[2, 3\] and \[2, 4\] do not broadcast/)
  assert.throws(() => tensor(gpu, [1, 2], [3]), /needs 3 values, got 2/)
  for (const made of [x, w] as Tensor[]) made.dispose()
})

test.after(() => gpu.close())
test.run()
