// AdamW over a table with rare gradients, and the metrics.
import { basename, join } from 'node:path'
import { readParameter, scope, TableParameter, tensor, writeParameter } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { brier, logLoss, prAuc, rocAuc } from '../../src/train/index.ts'
import { need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

export interface AdamWCase {
  steps: number
  betas: [number, number]
  eps: number
  weight_decay: number
}

export async function checkAdamWCase(gpu: Gpu, folder: string, frozen: AdamWCase): Promise<Finding[]> {
  const check = new Check(`${basename(folder)}/adamw`, 1e-5)
  const tensors = await readTensors(join(folder, 'adamw.safetensors'))
  const { shape, data: w0 } = need(tensors, 'w0')
  const [, width] = shape as [number, number]
  const { data: ids, shape: idShape } = need(tensors, 'ids')
  const [, touched] = idShape as [number, number]
  const grads = need(tensors, 'grads').data
  const rates = need(tensors, 'lr').data
  const table = new TableParameter(shape as [number, number], { kind: 'constant', value: 0 })
  table.allocate(gpu)
  writeParameter(table, Float32Array.from(w0))
  const { betas, eps, weight_decay: weightDecay } = frozen
  const optimizer = new AdamW(gpu, [{ params: [table] }], { betas, eps, weightDecay })
  const moments = async () => optimizer.readState(table)
  try {
    for (let step = 0; step < frozen.steps; step++) {
      const row = (i: number) => ids[step * touched + i]!
      const order = Array.from({ length: touched }, (_, i) => i).sort((a, b) => row(a) - row(b))
      const values = new Float32Array(touched * width)
      for (const [to, from] of order.entries()) {
        for (let c = 0; c < width; c++) values[to * width + c] = grads[(step * touched + from) * width + c]!
      }
      const rows = Uint32Array.from(order, row)
      table.beforeRead?.(rows)
      table.grads.push({ rows, values: scope(() => tensor(gpu, values, [touched, width])) })
      optimizer.groups[0]!.lr = rates[step]!
      optimizer.step()
      optimizer.zeroGrad()
      const frozenWeights = tensors.get(`w${step + 1}_float64`)
      if (frozenWeights) check.tensor(`w${step + 1}`, await readParameter(table), frozenWeights.data)
    }
    const { expAvg, expAvgSq } = await moments()
    check.tensor('m', expAvg, need(tensors, 'm_float64').data)
    check.tensor('v', expAvgSq, need(tensors, 'v_float64').data)
  } finally {
    optimizer.dispose()
    table.free()
  }
  return check.done()
}

export interface MetricsCase {
  cases: { y: number[]; p: number[]; roc_auc: number; pr_auc: number; log_loss: number; brier: number }[]
}

export function checkMetricsCase(folder: string, { cases }: MetricsCase): Finding[] {
  const check = new Check(`${basename(folder)}/metrics`, 1e-9)
  for (const [i, { y, p, ...expected }] of cases.entries()) {
    const note = (name: string, actual: number, wanted: number) =>
      check.add(`case ${i} ${name}`, Math.abs(actual - wanted))
    note('roc_auc', rocAuc(y, p), expected.roc_auc)
    note('pr_auc', prAuc(y, p), expected.pr_auc)
    note('log_loss', logLoss(y, p), expected.log_loss)
    // The probabilities were float32, and scikit-learn squares and sums them as such.
    note('brier', brier(y, Float32Array.from(p)), expected.brier)
  }
  return check.done()
}
