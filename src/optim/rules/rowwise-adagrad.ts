import type { Gpu } from '../../gpu/index.ts'
import wgsl from '../../wgsl/optimizer_rowwise_adagrad.ts'
import { Optimizer, type ParameterGroup } from '../optimizer.ts'
import { isNonNegative, type Rule, type Settings } from '../rule.ts'

/** Settings of a group, with the defaults of FBGEMM's `SplitTableBatchedEmbeddingBagsCodegen`. */
export interface RowwiseAdagradOptions {
  /** Learning rate, default 0.01. */
  lr?: number
  /** Added to the root of the sum, default 1e-8. */
  eps?: number
  /** Added to the gradient of rows that have one (FBGEMM's `WeightDecayMode.L2`), default 0: `WeightDecayMode.NONE`. */
  weightDecay?: number
}

/** {@link RowwiseAdagradOptions}, all filled in. */
export interface RowwiseAdagradSettings extends Settings, Required<RowwiseAdagradOptions> {
  lr: number
}

/** What row-wise Adagrad keeps of a parameter. */
export interface RowwiseAdagradState {
  /** Of a table [V, H], one number a row: [V]; of a dense parameter, one an element. */
  sum: Float32Array<ArrayBuffer>
}

/** FBGEMM's `EXACT_ROWWISE_ADAGRAD` as a rule. */
export const rowwiseAdagrad: Rule<RowwiseAdagradSettings> = {
  name: 'RowwiseAdagrad',
  wgsl,
  byRow: true,
  defaults: { lr: 1e-2, eps: 1e-8, weightDecay: 0 },
  settings: options => options as unknown as RowwiseAdagradSettings,
  check({ lr, eps, weightDecay }, check) {
    check(isNonNegative(lr), 'lr', lr, 'a number of at least 0')
    check(isNonNegative(eps), 'eps', eps, 'a number of at least 0')
    check(isNonNegative(weightDecay), 'weightDecay', weightDecay, 'a number of at least 0')
  },
  states: () => ['sum'],
  movesIdleRows: () => false,
  numbers: ({ lr, eps, weightDecay }) => [lr, eps, weightDecay],
  pending: ({ lr, eps, weightDecay }) => [lr, eps, weightDecay],
}

/**
 * Row-wise Adagrad with parameter groups, as recommendation models train their tables: one number a row, and rows without a gradient
 * stay as they are, weight decay included. Tables follow FBGEMM's `EXACT_ROWWISE_ADAGRAD`:
 * sum += mean(g²) over the row; w -= lr / (√sum + eps) · g. Dense parameters keep a sum per element, as `torch.optim.Adagrad` does
 * with the same eps.
 *
 * @example
 * ```ts
 * import { RowwiseAdagrad } from 'kernelgrad'
 *
 * const optimizer = new RowwiseAdagrad(gpu, [{ params: model.parameters() }], { lr: 0.05 })
 * optimizer.dispose()
 * ```
 */
export class RowwiseAdagrad extends Optimizer<RowwiseAdagradSettings, RowwiseAdagradState> {
  /** Takes memory for sums. The parameters have memory on `gpu`; defaults are FBGEMM's. */
  constructor(
    gpu: Gpu,
    groups: ParameterGroup<RowwiseAdagradOptions>[],
    options: RowwiseAdagradOptions = {},
  ) {
    super(gpu, rowwiseAdagrad, groups, options)
  }
}
