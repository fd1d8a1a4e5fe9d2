import { expectNumber, FINITE } from '../check.ts'
import { expectArrays, expectIds, expectSizes, given } from './checks.ts'
import { softmax } from './softmax.ts'

/**
 * Softmax cross-entropy: losses[r] = log Σ exp(logits[r,·]) - logits[r, labels[r]]; loss is their mean.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html, reduction='mean'
 *
 * @param options.logits [rows, C]
 * @param options.labels [rows], each in 0 … C-1
 * @returns loss; losses [rows]; probs [rows, C], which the backward pass needs
 */
export function crossEntropy(options: {
  logits: ArrayLike<number>
  labels: ArrayLike<number>
  rows: number
  C: number
}): { loss: number; losses: Float64Array; probs: Float64Array } {
  const { logits, labels, rows, C } = given('crossEntropy', options)
  expectSizes('crossEntropy', { rows, C })
  expectArrays('crossEntropy', { logits }, rows * C)
  expectArrays('crossEntropy', { labels }, rows)
  expectIds('crossEntropy', 'label', labels, C)
  const losses = new Float64Array(rows)
  let loss = 0
  for (let r = 0; r < rows; r++) {
    let max = -Infinity
    for (let c = 0; c < C; c++) max = Math.max(max, logits[r * C + c]!)
    let total = 0
    for (let c = 0; c < C; c++) total += Math.exp(logits[r * C + c]! - max)
    losses[r] = Math.log(total) + (max - logits[r * C + labels[r]!]!)
    loss += losses[r]! / rows
  }
  return { loss, losses, probs: softmax({ x: logits, rows, C }) }
}

/**
 * dlogits[r,c] = dloss (probs[r,c] - [c = labels[r]]) / rows.
 *
 * @param options.probs as {@link crossEntropy} returned them, [rows, C]
 * @param options.labels [rows]
 * @param options.dloss gradient of the mean loss, 1 by default
 * @returns dlogits [rows, C]
 */
export function crossEntropyBackward(options: {
  probs: ArrayLike<number>
  labels: ArrayLike<number>
  rows: number
  C: number
  dloss?: number | undefined
}): Float64Array {
  const { probs, labels, rows, C, dloss = 1 } = given('crossEntropyBackward', options)
  expectSizes('crossEntropyBackward', { rows, C })
  expectArrays('crossEntropyBackward', { probs }, rows * C)
  expectArrays('crossEntropyBackward', { labels }, rows)
  expectIds('crossEntropyBackward', 'label', labels, C)
  expectNumber('crossEntropyBackward: dloss', dloss, FINITE)
  const dlogits = new Float64Array(rows * C)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < C; c++) {
      const target = c === labels[r]! ? 1 : 0
      dlogits[r * C + c] = (dloss * (probs[r * C + c]! - target)) / rows
    }
  }
  return dlogits
}
