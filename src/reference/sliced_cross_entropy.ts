import { expectArrays, expectIds, expectSizes, given } from './checks.ts'
import { crossEntropy } from './cross_entropy.ts'

/** What slices of logits come to, without ever being whole. */
export interface SlicedCrossEntropy {
  /** [rows] */
  losses: Float64Array
  /** [rows], 1 where no logit is greater than the label's, else 0. */
  right: Float64Array
  /** [rows, V], the gradient of the logits. */
  dlogits: Float64Array
}

/**
 * Softmax cross-entropy of z + bias, and its gradient: losses[r] = log Σ exp(logits[r,·]) - logits[r, labels[r]], and
 * dlogits[r,c] = dlosses[r] (softmax[r,c] - [c = labels[r]]).
 *
 * @param options.z [rows, V], the logits without their bias
 * @param options.bias [V]
 * @param options.labels [rows], each in 0 … V-1
 * @param options.dlosses [rows]
 */
export function slicedCrossEntropy(options: {
  z: ArrayLike<number>
  bias: ArrayLike<number>
  labels: ArrayLike<number>
  dlosses: ArrayLike<number>
  rows: number
  V: number
}): SlicedCrossEntropy {
  const { z, bias, labels, dlosses, rows, V } = given('slicedCrossEntropy', options)
  expectSizes('slicedCrossEntropy', { rows, V })
  expectArrays('slicedCrossEntropy', { z }, rows * V)
  expectArrays('slicedCrossEntropy', { bias }, V)
  expectArrays('slicedCrossEntropy', { labels, dlosses }, rows)
  expectIds('slicedCrossEntropy', 'label', labels, V)
  const logits = Float64Array.from({ length: rows * V }, (_, i) => z[i]! + bias[i % V]!)
  const { losses, probs } = crossEntropy({ logits, labels, rows, C: V })
  const right = Float64Array.from({ length: rows }, (_, r) => {
    const row = logits.subarray(r * V, (r + 1) * V)
    return row.every(logit => logit <= row[labels[r]!]!) ? 1 : 0
  })
  const dlogits = probs.map((p, i) => {
    const r = Math.floor(i / V)
    return dlosses[r]! * (p - (i % V === labels[r] ? 1 : 0))
  })
  return { losses, right, dlogits }
}
