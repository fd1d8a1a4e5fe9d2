// Every optimizer over rows that have gradients rarely; tools/make_optim_golden.py makes such a case.
import { basename, join } from 'node:path'
import {
  allocateDense,
  DenseParameter,
  readParameter,
  scope,
  TableParameter,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { Adam, AdamW, type Optimizer, RowwiseAdagrad, SGD } from '../../src/optim/index.ts'
import { need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

/** `adagrad` is a dense parameter of row-wise Adagrad, which keeps a sum per element of it. */
export const CLASSES = {
  adamw_torch: AdamW,
  adam: Adam,
  sgd: SGD,
  adagrad: RowwiseAdagrad,
  rowwise_adagrad: RowwiseAdagrad,
}
const STATES = { exp_avg: 'expAvg', exp_avg_sq: 'expAvgSq', momentum_buffer: 'momentumBuffer', sum: 'sum' }
const BOUND = 1e-5
const ZERO = { kind: 'constant', value: 0 } as const

export interface OptimCase {
  steps: number
  cases: {
    name: string
    rule: keyof typeof CLASSES
    options: { weight_decay?: number } & Record<string, unknown>
    clip: number | null
  }[]
}

export async function checkOptimCase(
  gpu: Gpu,
  folder: string,
  { steps, cases }: OptimCase,
): Promise<Finding[]> {
  const path = join(folder, 'optim.safetensors')
  const tensors = await readTensors(path)
  const [w0, ids, grads, rates] = ['w0', 'ids', 'grads', 'lr'].map(name => need(tensors, name))
  const [V, width] = w0!.shape as [number, number]
  const touched = ids!.shape[1]!
  const findings: Finding[] = []
  for (const { name, rule, options, clip } of cases) {
    const Made = CLASSES[rule] as typeof AdamW | undefined
    if (!Made)
      throw new DataError(
        `${folder}/case.json: case ${name}: rule is ${rule}, expected one of ${Object.keys(CLASSES).join(', ')}`,
      )
    const check = new Check(`${basename(folder)}/${name}`, BOUND)
    const H = need(tensors, `${name}.w1`).shape[1]!
    // FBGEMM's rows are widened by their first columns.
    const widened = (values: ArrayLike<number>, row: number) =>
      Array.from({ length: H }, (_, c) => Number(values[row * width + (c % width)]))
    const parameter = rule === 'adagrad' ? new DenseParameter([V, H], ZERO) : new TableParameter([V, H], ZERO)
    if (parameter instanceof DenseParameter) allocateDense(gpu, [parameter])
    else parameter.allocate(gpu)
    writeParameter(
      parameter,
      flat(V, row => widened(w0!.data, row)),
    )
    const { weight_decay: weightDecay, ...own } = options
    const optimizer: Optimizer = new Made(gpu, [{ params: [parameter] }], { ...own, weightDecay })
    try {
      for (let step = 0; step < steps; step++) {
        const rows = Uint32Array.from({ length: touched }, (_, i) => Number(ids!.data[step * touched + i]))
        const values = flat(touched, i => widened(grads!.data, step * touched + i))
        setGradient(gpu, parameter, rows, values)
        optimizer.groups[0]!.lr = Number(rates!.data[step])
        optimizer.step({ maxGradNorm: clip ?? 0 })
        optimizer.zeroGrad()
        const frozen = tensors.get(`${name}.w${step + 1}`)
        if (frozen) check.tensor(`w${step + 1}`, await readParameter(parameter), frozen.data)
      }
      const state = (await optimizer.readState(parameter)) as Record<string, Float32Array>
      for (const [torch, key] of Object.entries(STATES)) {
        const frozen = tensors.get(`${name}.${torch}`)
        if (frozen) check.tensor(torch, state[key] ?? new Float32Array(), frozen.data)
      }
    } finally {
      optimizer.dispose()
      if (parameter instanceof TableParameter) parameter.free()
    }
    findings.push(...check.done())
  }
  return findings
}

const flat = (rows: number, rowOf: (row: number) => number[]): Float32Array<ArrayBuffer> =>
  Float32Array.from(Array.from({ length: rows }, (_, row) => rowOf(row)).flat())

/** A gradient for some rows, which are zero in a dense parameter's others. */
function setGradient(
  gpu: Gpu,
  parameter: DenseParameter | TableParameter,
  rows: Uint32Array,
  values: Float32Array<ArrayBuffer>,
): void {
  const H = values.length / rows.length
  if (parameter instanceof TableParameter) {
    parameter.beforeRead?.(rows)
    parameter.grads.push({ rows, values: scope(() => tensor(gpu, values, [rows.length, H])) })
    return
  }
  const scattered = new Float32Array(parameter.size)
  for (const [i, row] of rows.entries()) scattered.set(values.subarray(i * H, (i + 1) * H), row * H)
  gpu.upload(parameter.gradTarget().view, scattered)
}
