// Every rule against values frozen from PyTorch and FBGEMM, 300 steps of rows with rare gradients; adamw.test.ts has AdamW alone.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter } from '../../src/autograd/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { makeOptimizer, type RuleName, setRows, setScattered } from '../support/optimizers.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'
import { readSafetensors } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()
const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer)

interface Case {
  name: string
  rule: RuleName
  options: { weight_decay?: number } & Record<string, unknown>
  clip: number | null
}
const { steps, cases } = JSON.parse(readFileSync('test/golden/optim/case.json', 'utf8')) as {
  steps: number
  cases: Case[]
}
const golden = readSafetensors('test/golden/optim/optim.safetensors')
const floats = (name: string) => Float32Array.from(golden.get(name)!.data as ArrayLike<number>)
const [V, width] = golden.get('w0')!.shape as [number, number]
const [, touched] = golden.get('ids')!.shape as [number, number]
const [ids, grads, rates] = [golden.get('ids')!.data, floats('grads'), floats('lr')]

/** Rows of `H` values out of rows of `width`: FBGEMM's are widened by their first columns. */
const widened = (values: Float32Array, H: number) =>
  Float32Array.from(
    { length: (values.length / width) * H },
    (_, i) => values[Math.floor(i / H) * width + ((i % H) % width)]!,
  )

for (const { name, rule, options, clip } of cases) {
  const H = golden.get(`${name}.w1`)!.shape[1]!
  // Adagrad keeps a sum per element of a dense parameter, and per row of a table: PyTorch's and FBGEMM's.
  const [isDense, isTable] = [rule !== 'rowwise_adagrad', rule !== 'adagrad']

  test(`${name}: ${steps} steps agree with ${isDense ? 'PyTorch in float64' : 'FBGEMM'}`, async () => {
    const start = widened(floats('w0'), H)
    const table = tableParameter(gpu, start, [V, H])
    const dense = denseParameter(gpu, start, [V, H])
    const [a, b] = [table, dense].map(parameter => makeOptimizer(gpu, rule, parameter, options)) as [
      ReturnType<typeof makeOptimizer>,
      ReturnType<typeof makeOptimizer>,
    ]
    const optimizers = [...(isTable ? [a] : []), ...(isDense ? [b] : [])]
    const bound = isDense ? 1e-5 : 2e-6
    for (let step = 0; step < steps; step++) {
      const rows = Uint32Array.from({ length: touched }, (_, i) => Number(ids[step * touched + i]))
      const values = widened(grads.subarray(step * touched * width, (step + 1) * touched * width), H)
      if (isTable) setRows(gpu, table, rows, values)
      if (isDense) setScattered(gpu, dense, rows, values)
      for (const optimizer of optimizers) {
        optimizer.groups[0]!.lr = rates[step]!
        optimizer.step({ maxGradNorm: clip ?? 0 })
        optimizer.zeroGrad()
      }
      if (!golden.has(`${name}.w${step + 1}`)) continue
      const frozen = floats(`${name}.w${step + 1}`)
      const label = `weights after step ${step + 1}`
      if (isTable) expectClose(await readParameter(table), frozen, bound, { label: `the table's ${label}` })
      if (isDense) expectClose(await readParameter(dense), frozen, bound, { label: `dense ${label}` })
      // The norm adds up a table's rows and a dense gradient in different orders.
      if (isTable && isDense && clip === null)
        assert.equal(
          bits(await readParameter(table)),
          bits(await readParameter(dense)),
          `${label}, bit for bit`,
        )
    }
    const kept = { exp_avg: 'expAvg', exp_avg_sq: 'expAvgSq', momentum_buffer: 'momentumBuffer', sum: 'sum' }
    const parameter = isTable ? table : dense
    const state = (await (isTable ? a : b).readState(parameter)) as Record<string, Float32Array>
    let compared = 0
    for (const [torch, own] of Object.entries(kept)) {
      if (!golden.has(`${name}.${torch}`)) continue
      expectClose(state[own]!, floats(`${name}.${torch}`), bound, { label: torch })
      compared++
    }
    assert.is(Object.keys(state).length, compared)
    for (const optimizer of [a, b]) optimizer.dispose()
  })
}

test.after(() => gpu.close())
test.run()
