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
  valuesChanged,
  variance,
} from '../autograd/index.ts'
import { COUNT, expectFlag, expectNumber, expectOptions, POSITIVE, PROBABILITY } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { Buffer, Counter } from './buffers.ts'
import { type Layer, pythonFloat } from './layers.ts'
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

/** What a batch normalization takes. */
export interface BatchNormOptions {
  /** Added to the variance; 1e-5 unless given. */
  eps?: number
  /** Share of a batch in the running statistics; 0.1 unless given. */
  momentum?: number
  /** Whether there are weight and bias; true unless given. */
  affine?: boolean
}

let still = false

/** Runs what leaves running statistics as they are, also in training mode. Only what is recorded within the call. */
export function withStillStatistics<T>(run: () => T): T {
  const before = still
  still = true
  try {
    return run()
  } finally {
    still = before
  }
}

/**
 * Every column over its mean and variance: `torch.nn.BatchNorm1d`. While training they are the batch's (the variance divided by n),
 * and move the running ones (the variance divided by n - 1); in evaluation mode the running ones count. Freezing stops weight
 * and bias alone, as in PyTorch: in evaluation mode the running statistics stand still.
 *
 * A batch of one row has no variance: while training it is refused. `Trainer` leaves out the last row of an epoch where it
 * would be a batch by itself.
 *
 * @example
 * ```ts
 * import { nn } from 'kernelgrad'
 *
 * const layers = new nn.Sequential([new nn.Linear(8, 32), new nn.BatchNorm1d(32), new nn.ReLU(), new nn.Linear(32, 2)])
 * ```
 */
export class BatchNorm1d extends Module implements Layer {
  /** [C], starts at 1; absent without `affine`. */
  readonly weight: DenseParameter | undefined
  /** [C], starts at 0; absent without `affine`. */
  readonly bias: DenseParameter | undefined
  /** [C], starts at 0. */
  readonly running_mean: Buffer
  /** [C], starts at 1. */
  readonly running_var: Buffer
  /** Batches that moved them. */
  readonly num_batches_tracked = new Counter()
  /** Added to the variance. */
  readonly eps: number
  /** Share of a batch in the running statistics. */
  readonly momentum: number

  /** `features` is C, the second dimension. */
  constructor(features: number, options: BatchNormOptions = {}) {
    super()
    expectNumber('BatchNorm1d: features', features, COUNT)
    expectOptions('BatchNorm1d: options', options, ['eps', 'momentum', 'affine'])
    const { eps = 1e-5, momentum = 0.1, affine = true } = options
    expectNumber('BatchNorm1d: eps', eps, POSITIVE)
    expectNumber('BatchNorm1d: momentum', momentum, PROBABILITY)
    expectFlag('BatchNorm1d: affine', affine)
    const filled = (value: number) => new DenseParameter([features], { kind: 'constant', value })
    this.weight = affine ? filled(1) : undefined
    this.bias = affine ? filled(0) : undefined
    this.running_mean = new Buffer([features], { kind: 'constant', value: 0 })
    this.running_var = new Buffer([features], { kind: 'constant', value: 1 })
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
        `BatchNorm1d: a batch of shape [${x.shape.join(', ')}] has ${n} values a column, expected 2 or more while training; ` +
          'eval() takes the running statistics',
      )
    const [average, spread] = [
      mean(x, axes, { keepdim: true }),
      variance(x, axes, { keepdim: true, correction: 0 }),
    ]
    if (still) return [average, spread]
    this.num_batches_tracked.value++
    noGrad(() =>
      scope(() => {
        this.#move(this.running_mean, average, 1)
        this.#move(this.running_var, spread, n / (n - 1))
      }),
    )
    return [average, spread]
  }

  /** running = (1 - momentum) running + momentum factor batch. */
  #move(running: Buffer, batch: Tensor, factor: number): void {
    const { momentum } = this
    const flat = reshape(batch, [running.size])
    const moved = add(mul(running, 1 - momentum), mul(flat, momentum * factor))
    running.gpu.copy(moved.view, running.view, running.bytes)
    valuesChanged(running)
  }

  protected override extraRepr(): string {
    const affine = this.weight ? 'True' : 'False'
    return `${this.running_mean.size}, eps=${pythonFloat(this.eps)}, momentum=${this.momentum}, affine=${affine}, track_running_stats=True`
  }
}
