import type { Gpu } from '../../gpu/index.ts'
import oneMinusExp from '../../wgsl/one_minus_exp.ts'
import wgsl from '../../wgsl/optimizer_adam.ts'
import { Optimizer, type ParameterGroup } from '../optimizer.ts'
import type { Rule } from '../rule.ts'
import {
  type AdamSettings,
  type AdamState,
  type AdamWOptions,
  adamNumbers,
  adamPending,
  adamSettings,
  checkAdam,
} from './adamw.ts'

/**
 * Settings of a group, under the names and with the defaults of `torch.optim.Adam`: those of AdamW, but `weightDecay`, default 0,
 * is added to the gradient (L2).
 */
export type AdamOptions = AdamWOptions

/** `torch.optim.Adam` as a rule. */
export const adam: Rule<AdamSettings> = {
  name: 'Adam',
  wgsl: oneMinusExp + wgsl,
  defaults: { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
  settings: adamSettings,
  check: checkAdam,
  states: () => ['exp_avg', 'exp_avg_sq'],
  movesIdleRows: () => true,
  numbers: (settings, step) => [settings.weightDecay, ...adamNumbers(settings, step)],
  pending: settings => [settings.weightDecay, ...adamPending(settings)],
}

/**
 * Adam with parameter groups: `torch.optim.Adam`, with its weight decay in the gradient.
 *
 * @example
 * ```ts
 * import { Adam } from 'kernelgrad'
 *
 * const optimizer = new Adam(gpu, [{ params: model.parameters() }], { lr: 1e-3 })
 * optimizer.dispose()
 * ```
 */
export class Adam extends Optimizer<AdamSettings, AdamState> {
  /** Takes memory for moments. The parameters have memory on `gpu`; defaults are PyTorch's. */
  constructor(gpu: Gpu, groups: ParameterGroup<AdamOptions>[], options: AdamOptions = {}) {
    super(gpu, adam, groups, options)
  }
}
