// A run whose loss is not a number is over: what it says then. So is one whose loss is no single value.
import type { Tensor } from '../autograd/index.ts'
import type { Dataset } from '../data/index.ts'
import { KernelgradError, ShapeError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { expectTensor } from './checks.ts'
import { trainedRows } from './epochs.ts'
import type { StageRows } from './stage-data.ts'
import { positionOf, type Stage } from './stages.ts'

/** The loss, or a gradient, is not a number. */
export class BrokenLossError extends KernelgradError {
  /** Optimizer step, counted from 1. */
  readonly step: number
  /** The rows of the batch, by file. */
  readonly rows: { file: string; rows: number[] }[]

  constructor(message: string, step: number, rows: BrokenLossError['rows']) {
    super(message)
    this.step = step
    this.rows = rows
  }
}

const ADVICE = 'a lower learning rate, gradient clipping (max_grad_norm) or a check of the numerical features'

/** The error for a loss that broke in micro-batch `microBatch` of step `step`, counted from 0. */
export function brokenLoss(
  plan: readonly Stage[],
  data: readonly StageRows[],
  { step, microBatch }: { step: number; microBatch: number },
): BrokenLossError {
  const { config, rows } = rowsOf(plan, data, { step, microBatch, count: 1 })
  // Scaling the loss keeps gradients in f16's range; activations beyond 65504 it cannot help.
  const precision = config.fp16 ? 'float32 (fp16: false), ' : ''
  return new BrokenLossError(
    `the loss is not a number at step ${step + 1}; try ${precision}${ADVICE}; the batch was ${rows.map(describe).join(', ')}`,
    step + 1,
    rows,
  )
}

/** The error for a gradient that broke in step `step`, counted from 0, whose loss was a number. */
export function brokenGradient(
  plan: readonly Stage[],
  data: readonly StageRows[],
  step: number,
): BrokenLossError {
  const { rows } = rowsOf(plan, data, { step, microBatch: 0 })
  return new BrokenLossError(
    `the gradient is not a number at step ${step + 1}; try ${ADVICE}; the step's rows were ${rows.map(describe).join(', ')}`,
    step + 1,
    rows,
  )
}

/** The rows of `count` micro-batches of a step, of all unless given, and the settings of its stage. */
function rowsOf(
  plan: readonly Stage[],
  data: readonly StageRows[],
  { step, microBatch, count }: { step: number; microBatch: number; count?: number },
) {
  const position = positionOf(plan, step, microBatch)
  const stage = plan[position.stage]!
  const { config, firstEpoch } = stage
  const rows = data[position.stage]!
  const first = position.microBatch
  const end = first + (count ?? config.gradient_accumulation_steps)
  return {
    config,
    rows: byFile(rows.train, trainedRows(rows, stage, firstEpoch + position.epoch, [first, end])),
  }
}

function byFile(data: Dataset, order: Uint32Array): BrokenLossError['rows'] {
  return data.files.flatMap(({ name, rowStart, rows }) => {
    const here = Array.from(order)
      .filter(row => row >= rowStart && row < rowStart + rows)
      .sort((a, b) => a - b)
    return here.length ? [{ file: name, rows: here.map(row => row - rowStart) }] : []
  })
}

/** Row numbers with neighbours as a range: `train.parquet rows 3, 8-11`. */
function describe({ file, rows }: BrokenLossError['rows'][number]): string {
  const parts: string[] = []
  for (let i = 0; i < rows.length; ) {
    let end = i
    while (rows[end + 1] === rows[end]! + 1) end++
    parts.push(end > i ? `${rows[i]}-${rows[end]}` : `${rows[i]}`)
    i = end + 1
  }
  return `${file} rows ${parts.join(', ')}`
}

/** @throws ShapeError for a loss that is no single number. */
export function checkLoss(model: Model, loss: Tensor): Tensor {
  expectTensor(model, 'loss', loss)
  if (String(loss.shape) === '1') return loss
  throw new ShapeError(
    `${model.constructor.name}: loss has shape [${loss.shape}], expected [1], such as the mean over the rows`,
  )
}
