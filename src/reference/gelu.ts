import { expectArrays, given } from './checks.ts'
import { erfc } from './erf.ts'

/** Φ(x), the share of a standard normal below x; through erfc, so that the negative tail keeps its digits. */
function normalCdf(x: number): number {
  return erfc(-x / Math.SQRT2) / 2
}

/**
 * Exact GELU: y = x Φ(x) = x/2 (1 + erf(x/√2)), element by element.
 *
 * Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415; `torch.nn.functional.gelu`, approximate='none'
 *
 * @param x any shape
 * @returns y, same shape
 */
export function gelu(x: ArrayLike<number>): Float64Array {
  expectArrays('gelu', { x })
  const y = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) y[i] = x[i]! * normalCdf(x[i]!)
  return y
}

/**
 * dx = dy (Φ(x) + x φ(x)), φ(x) = exp(-x²/2)/√(2π).
 *
 * @param options.x the input of {@link gelu}
 * @param options.dy same shape
 * @returns dx, same shape
 */
export function geluBackward(options: { x: ArrayLike<number>; dy: ArrayLike<number> }): Float64Array {
  const { x, dy } = given('geluBackward', options)
  expectArrays('geluBackward', { x })
  expectArrays('geluBackward', { dy }, x.length)
  const dx = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) {
    const density = Math.exp((-x[i]! * x[i]!) / 2) / Math.sqrt(2 * Math.PI)
    dx[i] = dy[i]! * (normalCdf(x[i]!) + x[i]! * density)
  }
  return dx
}
