import {
  clamp,
  elu,
  leakyRelu,
  logSoftmax,
  sigmoid,
  silu,
  softmax,
  softplus,
  type Tensor,
  tanh,
} from '../autograd/index.ts'
import type { Layer } from './layers.ts'
import { Module } from './module.ts'

/** `torch.nn.Sigmoid`. */
export class Sigmoid extends Module implements Layer {
  /** 1 / (1 + exp(-x)), of any shape. */
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/** `torch.nn.Tanh`. */
export class Tanh extends Module implements Layer {
  /** The hyperbolic tangent, of any shape. */
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

/** `torch.nn.SiLU`. */
export class SiLU extends Module implements Layer {
  /** x sigmoid(x), of any shape. */
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

/** `torch.nn.Softplus`. */
export class Softplus extends Module implements Layer {
  /** log(1 + exp(x)), of any shape. */
  forward(x: Tensor): Tensor {
    return softplus(x)
  }

  protected override extraRepr(): string {
    return 'beta=1.0, threshold=20.0'
  }
}

/** `torch.nn.LeakyReLU`. */
export class LeakyReLU extends Module implements Layer {
  /** What negative values are multiplied by. */
  readonly negativeSlope: number

  /** The slope is 0.01 unless given. */
  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = negativeSlope
  }

  /** x where it is positive, else the slope times x; of any shape. */
  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope)
  }

  protected override extraRepr(): string {
    return `negative_slope=${this.negativeSlope}`
  }
}

/** `torch.nn.ELU`. */
export class ELU extends Module implements Layer {
  /** How far negative values go. */
  readonly alpha: number

  /** alpha is 1 unless given. */
  constructor(alpha = 1) {
    super()
    this.alpha = alpha
  }

  /** x where it is positive, else alpha (exp(x) - 1); of any shape. */
  forward(x: Tensor): Tensor {
    return elu(x, this.alpha)
  }

  protected override extraRepr(): string {
    return `alpha=${Number.isInteger(this.alpha) ? this.alpha.toFixed(1) : this.alpha}`
  }
}

/** `torch.nn.Hardtanh`: values kept between two bounds. */
export class Hardtanh extends Module implements Layer {
  /** The lower bound. */
  readonly minVal: number
  /** The upper bound. */
  readonly maxVal: number

  /** Between -1 and 1 unless given. */
  constructor(minVal = -1, maxVal = 1) {
    super()
    this.minVal = minVal
    this.maxVal = maxVal
  }

  /** x within the bounds, of any shape. */
  forward(x: Tensor): Tensor {
    return clamp(x, this.minVal, this.maxVal)
  }
}

/** `torch.nn.Softmax(-1)`. */
export class Softmax extends Module implements Layer {
  /** Over the last dimension. */
  forward(x: Tensor): Tensor {
    return softmax(x)
  }

  protected override extraRepr(): string {
    return 'dim=-1'
  }
}

/** `torch.nn.LogSoftmax(-1)`. */
export class LogSoftmax extends Module implements Layer {
  /** Over the last dimension. */
  forward(x: Tensor): Tensor {
    return logSoftmax(x)
  }

  protected override extraRepr(): string {
    return 'dim=-1'
  }
}

/** `torch.nn.Identity`. */
export class Identity extends Module implements Layer {
  /** x itself. */
  forward(x: Tensor): Tensor {
    return x
  }
}

/**
 * A module of a function without parameters, for `Sequential`.
 *
 * @example
 * ```ts
 * import { clamp, nn } from 'kernelgrad'
 *
 * const relu6 = new nn.Lambda(x => clamp(x, 0, 6))
 * const layers = new nn.Sequential([new nn.Linear(8, 32), relu6, new nn.Linear(32, 1)])
 * ```
 */
export class Lambda extends Module implements Layer {
  readonly #of: (x: Tensor) => Tensor

  /** The function is called by every forward pass. */
  constructor(of: (x: Tensor) => Tensor) {
    super()
    this.#of = of
  }

  /** What the function makes of x. */
  forward(x: Tensor): Tensor {
    return this.#of(x)
  }

  protected override extraRepr(): string {
    return this.#of.name
  }
}
