import { KernelgradError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { scope } from './scope.ts'
import { backward } from './tape.ts'
import { type Shape, type Tensor, tensor } from './tensor.ts'

export interface GradcheckOptions {
  /** Largest error over the largest gradient. */
  tolerance?: number
  /** Step of the central difference. */
  step?: number
  /** Seed of the weighting that makes a scalar of the result. */
  seed?: number
}

/**
 * Compares the gradients that the tape computes for `fn` with central differences of `oracle`, the same function in
 * float64 on plain arrays. The result is weighted with random numbers and summed to a scalar. Throws with the worst element
 * when they disagree; returns the largest error, relative to each input's largest gradient.
 */
export async function gradcheck(
  gpu: Gpu,
  fn: (...inputs: Tensor[]) => Tensor,
  oracle: (...inputs: Float64Array[]) => ArrayLike<number>,
  inputs: { data: ArrayLike<number>; shape: Shape }[],
  { tolerance = 2e-4, step = 1e-5, seed = 1 }: GradcheckOptions = {},
): Promise<number> {
  const plain = inputs.map(({ data }) => Float64Array.from(Float32Array.from(data)))
  const weights = Float32Array.from(oracle(...plain), (_, i) => Math.sin(seed * 12.9898 + i * 78.233))
  const scalar = () => {
    const y = oracle(...plain)
    let sum = 0
    for (let i = 0; i < y.length; i++) sum += weights[i]! * y[i]!
    return sum
  }
  const grads = scope(() => {
    const leaves = inputs.map(({ shape }, i) =>
      tensor(gpu, Float32Array.from(plain[i]!), shape, { requiresGrad: true }),
    )
    const y = fn(...leaves)
    backward(y, { seed: tensor(gpu, weights, y.shape) })
    return leaves.map(leaf => leaf.grad?.retain())
  })
  let worst = 0
  for (const [i, grad] of grads.entries()) {
    if (!grad) throw new KernelgradError(`gradcheck: input ${i} got no gradient`)
    const analytic = await grad.read()
    grad.dispose()
    const x = plain[i]!
    const numeric = x.map((value, j) => {
      const h = step * Math.max(1, Math.abs(value))
      x[j] = value + h
      const above = scalar()
      x[j] = value - h
      const below = scalar()
      x[j] = value
      return (above - below) / (2 * h)
    })
    const largest = numeric.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-12)
    for (let j = 0; j < numeric.length; j++) {
      const error = Math.abs(analytic[j]! - numeric[j]!) / largest
      if (!(error <= tolerance)) {
        throw new KernelgradError(
          `gradcheck: input ${i} element ${j}: the tape says ${analytic[j]}, differences say ${numeric[j]} (error ${error} > ${tolerance})`,
        )
      }
      worst = Math.max(worst, error)
    }
  }
  return worst
}
