// A tied output projection's loss by slices of the table, against the same of an untied one, whole.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  crossEntropy,
  embedding,
  initialize,
  linear,
  mul,
  noGrad,
  type Parameter,
  readParameter,
  scope,
  sum,
  tensor,
  tiedCrossEntropy,
  tiedLinear,
  writeParameter,
} from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { AdamW, RowwiseAdagrad, SGD } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { denseParameter, shardedGpu, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()

interface Sizes {
  n: number
  H: number
  V: number
}

/**
 * Losses and all gradients, by the table's slices or by one matrix product. x is as large as makes logits about 1: the softmax takes the
 * rounding of a logit for a relative error, and two sums of 8,192 products of one that reach 100 differ by 5e-5 in whatever parts they are summed.
 */
async function run(on: Gpu, { n, H, V }: Sizes, how: 'sliced' | 'whole') {
  const input = tensor(gpu, seeded(n * H, 1, 1 / Math.sqrt(H)), [n, H], { requiresGrad: true })
  const bias = denseParameter(gpu, seeded(V, 3), [V])
  const labels = tensor(gpu, seededInts(n, 5, V))
  const w = seeded(V * H, 2)
  const table = tableParameter(on, w, [V, H])
  const weight = denseParameter(gpu, w, [V, H])
  const weights = tensor(gpu, seeded(n, 6), [n]) // another weight for each row
  const { losses, right } = scope(() => {
    const made =
      how === 'sliced'
        ? tiedCrossEntropy(input, table, bias, labels)
        : {
            losses: crossEntropy(linear(input, weight, bias), labels, { reduction: 'none' }),
            right: undefined,
          }
    const result = { losses: made.losses.read(), right: made.right?.read() }
    sum(mul(made.losses, weights)).backward()
    return result
  })
  const read = {
    losses: await losses,
    right: await right,
    dx: await input.grad!.read(),
    db: await bias.readGrad(),
    dw: await (how === 'sliced' ? table : weight).readGrad(),
    slices: table.slices.length,
    shards: table.shards.length,
  }
  table.zeroGrad()
  return read
}

for (const [name, on, sizes, shards, slices] of [
  ['one slice', gpu, { n: 7, H: 5, V: 23 }, 1, 1],
  ['three shards', shardedGpu(gpu, 70 * 36 * 4), { n: 13, H: 36, V: 151 }, 3, 3],
  ['two shards of more than one slice', shardedGpu(gpu, 600 * 8192 * 4), { n: 3, H: 8192, V: 1100 }, 2, 3],
] as const)
  test(`losses and gradients are those of the whole product: ${name}`, async () => {
    const [sliced, whole] = [await run(on, sizes, 'sliced'), await run(gpu, sizes, 'whole')]
    assert.equal([sliced.shards, sliced.slices], [shards, slices])
    for (const key of ['losses', 'dx', 'db', 'dw'] as const)
      expectClose(sliced[key], whole[key], 3e-6, { label: key })
    assert.is(sliced.right!.length, sizes.n)
  })

/** Four steps with lookups in the same table, two micro-batches each; weights and state after them. */
async function train(on: Gpu, rule: 'AdamW' | 'SGD' | 'RowwiseAdagrad', maxGradNorm: number) {
  const [n, H, V] = [9, 12, 101]
  const bias = denseParameter(on, seeded(V, 3), [V])
  const table = tableParameter(on, seeded(V * H, 2), [V, H])
  const parameters: Parameter[] = [table, bias]
  const groups = [{ params: parameters }]
  const optimizer =
    rule === 'AdamW'
      ? new AdamW(on, groups, { lr: 0.01 })
      : rule === 'SGD'
        ? new SGD(on, groups, { lr: 0.1, momentum: 0.9 })
        : new RowwiseAdagrad(on, groups, { lr: 0.1 })
  const norms: number[] = []
  for (let step = 0; step < 4; step++) {
    for (let micro = 0; micro < 2; micro++)
      scope(() => {
        const ids = seededInts(n, 10 * step + micro, V)
        const x = embedding(table, ids)
        // The third step has lookups alone, so that rows sit out a step.
        if (step === 2) return sum(x).backward({ scale: 0.1 })
        const labels = tensor(on, seededInts(n, 90 + step + micro, V))
        return sum(tiedCrossEntropy(x, table, bias, labels).losses).backward({ scale: 1 / n })
      })
    optimizer.step({ maxGradNorm })
    norms.push(maxGradNorm ? await optimizer.gradNorm() : 0)
    optimizer.zeroGrad()
  }
  optimizer.synchronize()
  const state = await optimizer.readState(table)
  const ended = { table: await readParameter(table), bias: await readParameter(bias), norms, ...state }
  optimizer.dispose()
  table.free()
  return ended
}

for (const rule of ['AdamW', 'SGD', 'RowwiseAdagrad'] as const)
  for (const maxGradNorm of [0, 0.5])
    test(`${rule} takes the slices of a table as it takes the whole, gradients clipped to ${maxGradNorm}`, async () => {
      const before = { ...gpu.memory }
      const whole = await train(gpu, rule, maxGradNorm)
      const sliced = await train(shardedGpu(gpu, 40 * 12 * 4), rule, maxGradNorm)
      for (const [name, values] of Object.entries(whole))
        expectClose(sliced[name as 'table'], values as Float32Array, 2e-5, { label: name })
      assert.is(
        gpu.memory.buffers - before.buffers,
        2 * 2,
        'what is left are the two biases and their gradients',
      )
    })

test('logits that are not kept give the same bits', async () => {
  const sharded = shardedGpu(gpu, 70 * 36 * 4)
  const [n, H, V] = [13, 36, 151]
  const table = tableParameter(sharded, seeded(V * H, 2), [V, H])
  const bias = denseParameter(gpu, seeded(V, 3), [V])
  const labels = tensor(gpu, seededInts(n, 5, V))
  const pass = async () => {
    const x = tensor(gpu, seeded(n * H, 1), [n, H], { requiresGrad: true })
    scope(() => sum(tiedCrossEntropy(x, table, bias, labels).losses).backward())
    return x.grad!.read()
  }
  const first = await pass()
  const alone = await table.readGrad()
  const second = await pass() // the logits of the first pass are there still: these are computed twice
  assert.equal(second, first)
  assert.equal(
    await table.readGrad(),
    alone.map(value => 2 * value),
  )
  table.free()
})

test('a gradient that was to be computed from values that have changed is refused, and nothing is changed', async () => {
  const [n, H, V] = [9, 12, 101]
  const sharded = shardedGpu(gpu, 40 * 12 * 4)
  const table = tableParameter(sharded, seeded(V * H, 2), [V, H])
  const bias = denseParameter(sharded, seeded(V, 3), [V])
  const optimizer = new AdamW(sharded, [{ params: [table, bias] as Parameter[] }], { lr: 0.01 })
  const backward = (uses: number) => {
    for (let use = 0; use < uses; use++)
      scope(() => {
        const x = embedding(table, seededInts(n, use, V))
        const labels = tensor(sharded, seededInts(n, 9 + use, V))
        sum(tiedCrossEntropy(x, table, bias, labels).losses).backward()
      })
  }
  const stale =
    /^the gradient of a table of shape \[101,12\] is computed from the table's values .* have changed since backward\(\), .* call zeroGrad\(\) after each step/
  const refused = async (work: () => unknown) => {
    try {
      await work()
    } catch (error) {
      return assert.match((error as Error).message, stale)
    }
    assert.unreachable('taken')
  }
  // Of two uses, the logits of the first are kept: a gradient by them stays what it was.
  for (const change of [
    () => optimizer.step(),
    () => writeParameter(table, seeded(V * H, 8)),
    () => initialize(table, 1, 2),
  ]) {
    backward(2)
    change()
    optimizer.synchronize()
    const before = [await readParameter(table), await readParameter(bias), optimizer.stepCount]
    await refused(() => optimizer.step({ maxGradNorm: 1 }))
    await refused(() => table.readGrad())
    backward(1)
    await refused(() => optimizer.step())
    optimizer.synchronize()
    assert.equal([await readParameter(table), await readParameter(bias), optimizer.stepCount], before)
    optimizer.zeroGrad()
    backward(1)
    optimizer.step()
    // The same gradient again, as of a table in one piece.
    optimizer.step()
    optimizer.zeroGrad()
  }
  optimizer.dispose()
  table.free()
})

test('logits of a table over several bindings come without a gradient', async () => {
  const [n, H, V] = [5, 12, 101]
  const w = seeded(V * H, 2)
  const [table, twin] = [
    tableParameter(shardedGpu(gpu, 40 * 12 * 4), w, [V, H]),
    tableParameter(gpu, w, [V, H]),
  ]
  const x = tensor(gpu, seeded(n * H, 1), [n, H])
  const bias = denseParameter(gpu, seeded(V, 3), [V])
  const logits = (of: typeof table) => scope(() => noGrad(() => tiedLinear(x, of, bias).read()))
  expectClose(await logits(table), await logits(twin), 1e-6, { label: 'logits' })
  assert.throws(
    () => tiedLinear(x, table, bias),
    /a table of shape \[101,12\] has a gradient here only up to 40 rows on this device, one binding; use tiedCrossEntropy/,
  )
})

test('what cannot be right is refused by name', () => {
  const [n, H, V] = [5, 12, 101]
  const table = tableParameter(shardedGpu(gpu, 40 * 12 * 4), seeded(V * H, 2), [V, H])
  const x = tensor(gpu, seeded(n * H, 1), [n, H])
  const bias = denseParameter(gpu, seeded(V, 3), [V])
  const labels = tensor(gpu, seededInts(n, 5, V))
  const wrong = (
    ...[a = x, b = table, c = bias, d = labels]: Partial<Parameters<typeof tiedCrossEntropy>>
  ) => {
    let message = ''
    try {
      tiedCrossEntropy(a, b, c, d)
    } catch (error) {
      message = `${(error as Error).name}: ${(error as Error).message}`
    }
    return message
  }
  assert.match(wrong(tensor(gpu, seeded(10, 1), [2, 5])), /x has shape \[2,5\], the table \[101,12\]/)
  assert.match(
    wrong(undefined, undefined, denseParameter(gpu, seeded(3, 1), [3])),
    /tiedCrossEntropy: bias .*\[3\].*\[101\]/,
  )
  assert.match(
    wrong(undefined, undefined, undefined, tensor(gpu, Uint32Array.of(1, 2))),
    /tiedCrossEntropy: labels .*\[2\].*\[5\]/,
  )
  assert.match(
    wrong(undefined, undefined, undefined, tensor(gpu, Uint32Array.of(1, 2, 101, 0, 0))),
    /DataError.*label.*101.*101 rows/,
  )
  assert.match(
    wrong(undefined, undefined, undefined, tensor(gpu, seeded(n, 1), [n])),
    /ArgumentError.*labels.*u32/,
  )
  const hook = table.registerHook(() => undefined)
  assert.match(wrong(), /ConfigError: tiedCrossEntropy: the table of shape \[101,12\] has a hook/)
  hook.remove()
  assert.is(wrong(), '')
})

test.after(() => gpu.close())
test.run()
