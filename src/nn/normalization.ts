import {
  add,
  cast,
  DenseParameter,
  mean,
  mul,
  noGrad,
  reshape,
  rsqrt,
  scope,
  square,
  sub,
  type Tensor,
  variance,
  weightsChanged,
} from '../autograd/index.ts'
import { ShapeError } from '../errors.ts'
import type { Layer } from './layers.ts'
import { Module } from './module.ts'

/** What normalization over a root mean square takes. */
export interface RMSNormOptions {
  /** Added to the mean square; float32's own, 2^-23, unless given. */
  eps?: number
  /** Whether there is a weight; true unless given. */
  elementwiseAffine?: boolean
}

/** x over the root of its mean square along the last dimension, times a weight: `torch.nn.RMSNorm`. */
export class RMSNorm extends Module implements Layer {
  /** [H], starts at 1; absent without `elementwiseAffine`. */
  readonly weight: DenseParameter | undefined
  /** Added to the mean square. */
  readonly eps: number

  /** `hidden` is H, the last dimension. */
  constructor(hidden: number, { eps = 2 ** -23, elementwiseAffine = true }: RMSNormOptions = {}) {
    super()
    this.weight = elementwiseAffine ? new DenseParameter([hidden], { kind: 'constant', value: 1 }) : undefined
    this.eps = eps
  }

  /** [..., H], of x's dtype. */
  forward(x: Tensor): Tensor {
    const wide = cast(x, 'f32')
    const scaled = mul(wide, rsqrt(add(mean(square(wide), -1, { keepdim: true }), this.eps)))
    return cast(this.weight ? mul(scaled, this.weight) : scaled, x.storage)
  }
}

/** A statistic that is carried from batch to batch and saved with the weights; nothing trains it, whatever is unfrozen. */
class Statistic extends DenseParameter {
  override get requiresGrad(): boolean {
    return false
  }

  override set requiresGrad(_: boolean) {}
}

/** What a batch normalization takes. */
export interface BatchNormOptions {
  /** Added to the variance; 1e-5 unless given. */
  eps?: number
  /** Share of a batch in the running statistics; 0.1 unless given. */
  momentum?: number
  /** Whether there are weight and bias; true unless given. */
  affine?: boolean
}

/**
 * Every column over its mean and variance: `torch.nn.BatchNorm1d`. While training they are the batch's, and move the running ones; in
 * evaluation mode the running ones count.
 */
export class BatchNorm1d extends Module implements Layer {
  /** [C], starts at 1; absent without `affine`. */
  readonly weight: DenseParameter | undefined
  /** [C], starts at 0; absent without `affine`. */
  readonly bias: DenseParameter | undefined
  /** [C], starts at 0. */
  readonly running_mean: DenseParameter
  /** [C], starts at 1. */
  readonly running_var: DenseParameter
  /** Added to the variance. */
  readonly eps: number
  /** Share of a batch in the running statistics. */
  readonly momentum: number

  /** `features` is C, the second dimension. */
  constructor(features: number, { eps = 1e-5, momentum = 0.1, affine = true }: BatchNormOptions = {}) {
    super()
    const filled = (value: number) => new DenseParameter([features], { kind: 'constant', value })
    this.weight = affine ? filled(1) : undefined
    this.bias = affine ? filled(0) : undefined
    this.running_mean = new Statistic([features], { kind: 'constant', value: 0 })
    this.running_var = new Statistic([features], { kind: 'constant', value: 1 })
    this.eps = eps
    this.momentum = momentum
  }

  /**
   * [N, C] or [N, C, L], to the same shape, float32.
   *
   * @throws ShapeError for another shape, and for a batch of one value a column while training
   */
  forward(input: Tensor): Tensor {
    const x = cast(input, 'f32')
    const C = this.running_mean.size
    const rank = x.shape.length
    if (rank < 2 || rank > 3 || x.shape[1] !== C)
      throw new ShapeError(`BatchNorm1d takes [N, ${C}] or [N, ${C}, L], got [${x.shape.join(', ')}]`)
    const axes = rank === 2 ? [0] : [0, 2]
    const across = (parameter: Tensor) => (rank === 2 ? parameter : reshape(parameter, [C, 1]))
    const [average, spread] = this.training
      ? this.#batch(x, axes)
      : [across(this.running_mean), across(this.running_var)]
    const normal = mul(sub(x, average), rsqrt(add(spread, this.eps)))
    return this.weight && this.bias ? add(mul(normal, across(this.weight)), across(this.bias)) : normal
  }

  /** Mean and variance of a batch, kept broadcastable; moves the running ones. */
  #batch(x: Tensor, axes: number[]): [mean: Tensor, variance: Tensor] {
    const C = this.running_mean.size
    const n = x.size / C
    if (n < 2)
      throw new ShapeError(
        `BatchNorm1d: a batch of shape [${x.shape.join(', ')}] has ${n} values a column, expected 2 or more`,
      )
    const [average, spread] = [
      mean(x, axes, { keepdim: true }),
      variance(x, axes, { keepdim: true, correction: 0 }),
    ]
    noGrad(() =>
      scope(() => {
        this.#move(this.running_mean, average, 1)
        this.#move(this.running_var, spread, n / (n - 1))
      }),
    )
    return [average, spread]
  }

  /** running = (1 - momentum) running + momentum factor batch. */
  #move(running: DenseParameter, batch: Tensor, factor: number): void {
    const { momentum } = this
    const flat = reshape(batch, [running.size])
    const moved = add(mul(running, 1 - momentum), mul(flat, momentum * factor))
    running.gpu.copy(moved.view, running.view, running.bytes)
    weightsChanged(running.arena!)
  }
}
