import type { Gpu } from '../../gpu/index.ts'
import oneMinusExp from '../../wgsl/one_minus_exp.ts'
import wgsl from '../../wgsl/optimizer_adamw.ts'
import { Optimizer, type ParameterGroup } from '../optimizer.ts'
import { type Check, isDecay, isNonNegative, type Rule, type Settings } from '../rule.ts'

/** Settings of a group, under the names and with the defaults of `torch.optim.AdamW`. */
export interface AdamWOptions {
  /** Learning rate, default 1e-3. */
  lr?: number
  /** Decay of the first and second moment, default 0.9 and 0.999. */
  betas?: readonly [number, number]
  /** Added to the root of the second moment, default 1e-8. */
  eps?: number
  /** Decoupled weight decay, default 0.01. */
  weightDecay?: number
}

/** Settings of a group of `AdamW` and `Adam`, all filled in. */
export interface AdamSettings extends Settings {
  /** Decay of the first moment. */
  beta1: number
  /** Decay of the second moment. */
  beta2: number
  /** Added to the root of the second moment. */
  eps: number
  /** Weight decay. */
  weightDecay: number
}

/** A parameter's moments, as torch's exp_avg and exp_avg_sq. */
export interface AdamState {
  /** First moments. */
  expAvg: Float32Array<ArrayBuffer>
  /** Second moments. */
  expAvgSq: Float32Array<ArrayBuffer>
}

/** `torch.optim.AdamW` as a rule. */
export const adamw: Rule<AdamSettings> = {
  name: 'AdamW',
  wgsl: oneMinusExp + wgsl,
  defaults: { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 },
  settings: adamSettings,
  check: checkAdam,
  states: () => ['exp_avg', 'exp_avg_sq'],
  // Moments decay, and move the weights meanwhile.
  movesIdleRows: () => true,
  numbers: (settings, step) => [1 - settings.lr * settings.weightDecay, ...adamNumbers(settings, step)],
  pending: settings => [1 - settings.lr * settings.weightDecay, ...adamPending(settings)],
}

export function adamSettings({ betas, ...options }: Record<string, unknown>): AdamSettings {
  const [beta1, beta2] = Array.isArray(betas) && betas.length === 2 ? betas : [betas, undefined]
  const { lr, eps, weightDecay } = options as unknown as Omit<AdamSettings, 'beta1' | 'beta2'>
  return { lr, beta1, beta2, eps, weightDecay }
}

export function checkAdam({ lr, beta1, beta2, eps, weightDecay }: AdamSettings, check: Check): void {
  check(isNonNegative(lr), 'lr', lr, 'a number of at least 0')
  check(isDecay(beta1), 'betas[0]', beta1, 'a number in [0, 1)')
  check(isDecay(beta2), 'betas[1]', beta2, 'a number in [0, 1)')
  check(isNonNegative(eps) && eps > 0, 'eps', eps, 'a number above 0')
  check(isNonNegative(weightDecay), 'weightDecay', weightDecay, 'a number of at least 0')
}

/** What `Step` holds behind its first number. */
export const adamNumbers = ({ lr, beta1, beta2, eps }: AdamSettings, t: number): number[] => [
  lr / (1 - beta1 ** t),
  1 / Math.sqrt(1 - beta2 ** t),
  eps,
  beta1,
  1 - beta1,
  beta2,
  1 - beta2,
]

export function adamPending({ lr, beta1, beta2, eps }: AdamSettings): number[] {
  const log = (beta: number) => Math.max(Math.log(beta), -1e4)
  return [lr, log(beta2), eps, log(beta1), 1 - beta1, beta2, 1 - beta2]
}

/**
 * AdamW with parameter groups: `torch.optim.AdamW`.
 *
 * @example
 * ```ts
 * import { AdamW, scope } from 'kernelgrad'
 *
 * const optimizer = new AdamW(gpu, [{ params: model.parameters(), lr: 1e-3 }], { weightDecay: 0.01 })
 * scope(() => model.forward(batch).loss!.backward())
 * optimizer.step({ maxGradNorm: 1 })
 * optimizer.zeroGrad()
 * optimizer.dispose()
 * ```
 */
export class AdamW extends Optimizer<AdamSettings, AdamState> {
  /** Takes memory for moments. The parameters have memory on `gpu`; defaults are PyTorch's. */
  constructor(gpu: Gpu, groups: ParameterGroup<AdamWOptions>[], options: AdamWOptions = {}) {
    super(gpu, adamw, groups, options)
  }
}
