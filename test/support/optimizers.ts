// Optimizers by the names of the frozen cases, and steps of a table and a dense parameter side by side.
import { CLASSES } from '../../bench/parity/optim-case.ts'
import { type DenseParameter, type TableParameter, tensor } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { AdamW, Optimizer } from '../../src/optim/index.ts'

export type RuleName = keyof typeof CLASSES

/** An optimizer over one group; settings under PyTorch's names. */
export function makeOptimizer(
  gpu: Gpu,
  rule: RuleName,
  parameter: DenseParameter | TableParameter,
  { weight_decay: weightDecay, ...options }: { weight_decay?: number } & Record<string, unknown> = {},
): Optimizer {
  const Made = CLASSES[rule] as typeof AdamW
  return new Made(gpu, [{ params: [parameter] }], { ...options, weightDecay })
}

/** Gives the rows of a table their gradient, as one use of it. */
export function setRows(gpu: Gpu, table: TableParameter, rows: Uint32Array, values: Float32Array): void {
  table.beforeRead!(rows)
  table.grads.push({ rows, values: tensor(gpu, values, [rows.length, table.width]) })
}

/** Gives a dense parameter [V, H] the same gradient, zero elsewhere. */
export function setScattered(gpu: Gpu, dense: DenseParameter, rows: Uint32Array, values: Float32Array): void {
  const H = dense.shape[1]!
  const scattered = new Float32Array(dense.size)
  for (const [i, row] of rows.entries()) scattered.set(values.subarray(i * H, (i + 1) * H), row * H)
  gpu.upload(dense.gradTarget().view, scattered)
}
