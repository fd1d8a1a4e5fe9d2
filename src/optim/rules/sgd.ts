import type { Gpu } from '../../gpu/index.ts'
import wgsl from '../../wgsl/optimizer_sgd.ts'
import { Optimizer, type ParameterGroup } from '../optimizer.ts'
import { isNonNegative, type Rule, type Settings } from '../rule.ts'

/** Settings of a group, under the names and with the defaults of `torch.optim.SGD`. */
export interface SGDOptions {
  /** Learning rate, default 1e-3. */
  lr?: number
  /** Factor by which the momentum buffer decays, default 0: there is none. */
  momentum?: number
  /** The buffer takes 1 - dampening of the gradient, all of it in the first step; default 0. */
  dampening?: number
  /** Added to the gradient (L2), default 0. */
  weightDecay?: number
  /** Nesterov's momentum, default false. */
  nesterov?: boolean
}

/** {@link SGDOptions}, all filled in. */
export interface SGDSettings extends Settings, Required<SGDOptions> {
  lr: number
}

/** What SGD keeps of a parameter. */
export interface SGDState {
  /** As torch's momentum_buffer; not there where no group has a momentum. */
  momentumBuffer?: Float32Array<ArrayBuffer>
}

/** `torch.optim.SGD` as a rule. */
export const sgd: Rule<SGDSettings> = {
  name: 'SGD',
  wgsl,
  defaults: { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false },
  settings: options => options as unknown as SGDSettings,
  check({ lr, momentum, dampening, weightDecay, nesterov }, check) {
    check(isNonNegative(lr), 'lr', lr, 'a number of at least 0')
    check(isNonNegative(momentum), 'momentum', momentum, 'a number of at least 0')
    check(Number.isFinite(dampening), 'dampening', dampening, 'a finite number')
    check(isNonNegative(weightDecay), 'weightDecay', weightDecay, 'a number of at least 0')
    check(typeof nesterov === 'boolean', 'nesterov', nesterov, 'true or false')
    const fits = !nesterov || (momentum > 0 && dampening === 0)
    check(
      fits,
      'nesterov',
      nesterov,
      `false, or a momentum and no dampening, got ${momentum} and ${dampening}`,
    )
  },
  states: groups => (groups.some(({ momentum }) => momentum !== 0) ? ['momentum_buffer'] : []),
  movesIdleRows: ({ weightDecay }, states) => weightDecay !== 0 || states.length > 0,
  numbers: (settings, step) => numbers(settings, step === 1 ? 0 : settings.dampening),
  pending: settings => numbers(settings, settings.dampening),
  differsInFirstStep: ({ momentum, dampening }) =>
    momentum !== 0 && dampening !== 0 ? 'dampening' : undefined,
}

/** A group without momentum beside one that has some: its buffer holds the gradient. */
const numbers = ({ lr, momentum, weightDecay, nesterov }: SGDSettings, dampening: number): number[] => [
  lr,
  momentum,
  momentum === 0 ? 1 : 1 - dampening,
  weightDecay,
  Number(nesterov),
]

/**
 * SGD with momentum and parameter groups: `torch.optim.SGD`. Without momentum and weight decay, a table's rows cost nothing but
 * in the steps that have a gradient for them. With `dampening`, every parameter needs a gradient in the first step, because that
 * is where PyTorch leaves it out; with a gradient scaler, in every step.
 *
 * @example
 * ```ts
 * import { SGD } from 'kernelgrad'
 *
 * const optimizer = new SGD(gpu, [{ params: model.parameters() }], { lr: 0.1, momentum: 0.9, nesterov: true })
 * optimizer.dispose()
 * ```
 */
export class SGD extends Optimizer<SGDSettings, SGDState> {
  /** Takes memory for momentum buffers, if there are any. The parameters have memory on `gpu`; defaults are PyTorch's. */
  constructor(gpu: Gpu, groups: ParameterGroup<SGDOptions>[], options: SGDOptions = {}) {
    super(gpu, sgd, groups, options)
  }
}
