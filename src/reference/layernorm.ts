import { expectNumber, NON_NEGATIVE } from '../check.ts'
import { expectArrays, expectSizes, given } from './checks.ts'

/**
 * Residual sum, then layer normalisation of each row:
 * sum = x + residual; mean and variance (population, over H) of sum; rstd = 1/√(variance + eps);
 * y = (sum - mean) rstd weight + bias.
 *
 * Source: Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450; `torch.nn.functional.layer_norm`
 *
 * @param options.x [rows, H]
 * @param options.residual [rows, H], optional
 * @param options.weight [H]
 * @param options.bias [H]
 * @returns y [rows, H]; what the backward pass needs: sum [rows, H], mean [rows], rstd [rows]
 */
export function layerNorm(options: {
  x: ArrayLike<number>
  residual?: ArrayLike<number> | undefined
  weight: ArrayLike<number>
  bias: ArrayLike<number>
  rows: number
  H: number
  eps: number
}): { y: Float64Array; sum: Float64Array; mean: Float64Array; rstd: Float64Array } {
  const { x, residual, weight, bias, rows, H, eps } = given('layerNorm', options)
  expectSizes('layerNorm', { rows, H })
  expectArrays('layerNorm', { x }, rows * H)
  expectArrays('layerNorm', { weight, bias }, H)
  if (residual) expectArrays('layerNorm', { residual }, rows * H)
  expectNumber('layerNorm: eps', eps, NON_NEGATIVE)
  const y = new Float64Array(rows * H)
  const sum = new Float64Array(rows * H)
  const mean = new Float64Array(rows)
  const rstd = new Float64Array(rows)
  for (let r = 0; r < rows; r++) {
    let total = 0
    for (let h = 0; h < H; h++) {
      const i = r * H + h
      sum[i] = x[i]! + (residual ? residual[i]! : 0)
      total += sum[i]!
    }
    mean[r] = total / H
    let squares = 0
    for (let h = 0; h < H; h++) squares += (sum[r * H + h]! - mean[r]!) ** 2
    rstd[r] = 1 / Math.sqrt(squares / H + eps)
    for (let h = 0; h < H; h++) {
      const i = r * H + h
      y[i] = (sum[i]! - mean[r]!) * rstd[r]! * weight[h]! + bias[h]!
    }
  }
  return { y, sum, mean, rstd }
}

/**
 * With n = (sum - mean) rstd and g = dy weight, per row:
 * dx = rstd (g - mean(g) - n mean(g n)); over rows: dweight = Σ dy n, dbias = Σ dy.
 *
 * @param options.dy [rows, H]
 * @param options.sum as {@link layerNorm} returned it; so are mean and rstd
 * @param options.weight [H]
 * @returns dx [rows, H], the gradient of x and of residual alike; dweight [H]; dbias [H]
 */
export function layerNormBackward(options: {
  dy: ArrayLike<number>
  sum: ArrayLike<number>
  weight: ArrayLike<number>
  mean: ArrayLike<number>
  rstd: ArrayLike<number>
  rows: number
  H: number
}): { dx: Float64Array; dweight: Float64Array; dbias: Float64Array } {
  const { dy, sum, weight, mean, rstd, rows, H } = given('layerNormBackward', options)
  expectSizes('layerNormBackward', { rows, H })
  expectArrays('layerNormBackward', { dy, sum }, rows * H)
  expectArrays('layerNormBackward', { weight }, H)
  expectArrays('layerNormBackward', { mean, rstd }, rows)
  const dx = new Float64Array(rows * H)
  const dweight = new Float64Array(H)
  const dbias = new Float64Array(H)
  for (let r = 0; r < rows; r++) {
    let meanG = 0
    let meanGN = 0
    for (let h = 0; h < H; h++) {
      const i = r * H + h
      const n = (sum[i]! - mean[r]!) * rstd[r]!
      const g = dy[i]! * weight[h]!
      meanG += g / H
      meanGN += (g * n) / H
      dweight[h]! += dy[i]! * n
      dbias[h]! += dy[i]!
    }
    for (let h = 0; h < H; h++) {
      const i = r * H + h
      const n = (sum[i]! - mean[r]!) * rstd[r]!
      dx[i] = rstd[r]! * (dy[i]! * weight[h]! - meanG - n * meanGN)
    }
  }
  return { dx, dweight, dbias }
}
