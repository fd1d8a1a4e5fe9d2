/**
 * The oracle: every kernel of this library once more, in float64 and plain loops, forward and backward side by side.
 * Arrays are flat and row-major; every result is a new array. Slow on purpose: read it, or test a kernel against it.
 *
 * @example
 * ```ts
 * import { gelu, geluBackward } from 'kernelgrad/reference'
 *
 * const x = [-1, 0, 2]
 * const y = gelu(x)
 * const dx = geluBackward({ x, dy: [1, 1, 1] })
 * ```
 *
 * @module kernelgrad/reference
 */
export { type AttentionOptions, attention, attentionBackward } from './attention.ts'
export { axisReduce } from './axis_reduce.ts'
export { bmm } from './bmm.ts'
export { f16Bits, f16Value, roundF16 } from './cast.ts'
export { concat, concatBackward } from './concat.ts'
export { conv1dMax, conv1dMaxBackward } from './conv1d_max.ts'
export { crossAttention, crossAttentionBackward } from './cross_attention.ts'
export { crossEntropy, crossEntropyBackward } from './cross_entropy.ts'
export { dropout, dropoutBackward, dropoutThreshold } from './dropout.ts'
export { add, fill, scale } from './elementwise.ts'
export { embedding, embeddingBackward } from './embedding.ts'
export { erf, erfc } from './erf.ts'
export { gather, gatherBackward } from './gather.ts'
export { gelu, geluBackward } from './gelu.ts'
export { layerNorm, layerNormBackward } from './layernorm.ts'
export { lstm, lstmBackward } from './lstm.ts'
export { type MatmulLayout, matmul } from './matmul.ts'
export { firstToken, firstTokenBackward, meanPool, meanPoolBackward } from './mean_pool.ts'
export {
  type AdagradSettings,
  type AdamWSettings,
  type AdamWState,
  adamStep,
  adamwRows,
  adamwStep,
  rowwiseAdagradStep,
  type SgdSettings,
  type SgdState,
  sgdStep,
} from './optimizer.ts'
export { philox4x32, type Rng, uniform } from './philox.ts'
export { type PointwiseArgument, pointwise } from './pointwise.ts'
export { normalFill, uniformFill } from './random.ts'
export { clipCoefficient, columnSum, sum, sumOfSquares } from './reduce.ts'
export { relu, reluBackward } from './relu.ts'
export { type ScalerState, scalerStep } from './scaler.ts'
export { segment, segmentBackward } from './segment.ts'
export { segmentDiscounts, segmentPairs, segmentPairsBackward } from './segment_pairs.ts'
export { type SlicedCrossEntropy, slicedCrossEntropy } from './sliced_cross_entropy.ts'
export { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from './softmax.ts'
export { strided } from './strided.ts'
export { topK } from './topk.ts'
export { transpose } from './transpose.ts'
export { vectorScores } from './vector_scores.ts'
