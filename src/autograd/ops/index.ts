export type { Rng } from '../../kernels/dropout.ts'
export { gelu, relu, softmax } from './activations.ts'
export { addSame, reshape, scale, scaleBy } from './arithmetic.ts'
export { attention } from './attention.ts'
export type { Axes } from './axes.ts'
export { cast } from './cast.ts'
export { concatColumns, type Part } from './concat.ts'
export { conv1dMax } from './conv1d-max.ts'
export {
  type CrossAttentionOptions,
  causalAttention,
  crossAttention,
  type KeyRows,
} from './cross-attention.ts'
export { labelCrossEntropy } from './cross-entropy.ts'
export { dropout } from './dropout.ts'
export { embedding } from './embedding.ts'
export { type LayerNormOptions, layerNorm } from './layernorm.ts'
export { linear } from './linear.ts'
export type { Ids, Lookup } from './lookups.ts'
export {
  bceWithLogits,
  type CrossEntropyOptions,
  cosineSimilarity,
  crossEntropy,
  type KlDivOptions,
  klDiv,
  type LossOptions,
  logSoftmax,
  marginRanking,
  mse,
  normalize,
  type Reduction,
  type Targets,
} from './losses.ts'
export { type LstmOptions, lstm } from './lstm.ts'
export { matmul } from './matmul.ts'
export {
  concat,
  expand,
  indexSelect,
  permute,
  type SliceOptions,
  select,
  slice,
  split,
  squeeze,
  stack,
  transpose,
  unsqueeze,
} from './moves.ts'
export type { PackedRows } from './packed-rows.ts'
export {
  abs,
  add,
  clamp,
  detach,
  div,
  elu,
  eq,
  exp,
  expm1,
  ge,
  gt,
  le,
  leakyRelu,
  log,
  log1p,
  lt,
  maximum,
  minimum,
  mul,
  ne,
  neg,
  type Operand,
  pow,
  reciprocal,
  rsqrt,
  sigmoid,
  silu,
  softplus,
  sqrt,
  square,
  sub,
  tanh,
  where,
} from './pointwise.ts'
export { firstToken, meanPool, meanPoolConcat } from './pooling.ts'
export {
  logSumExp,
  max,
  mean,
  min,
  type ReductionOptions,
  std,
  sum,
  type VarianceOptions,
  variance,
} from './reductions.ts'
export { type PairKind, segmentDiscounts, segmentPairs } from './segment-pairs.ts'
export {
  type Starts,
  segmentLogSoftmax,
  segmentLogSumExp,
  segmentMax,
  segmentMean,
  segmentSoftmax,
  segmentSum,
} from './segments.ts'
export { argmax, gather, type TopK, topK } from './selection.ts'
export { takeRows } from './take-rows.ts'
export { type TiedCrossEntropy, tiedCrossEntropy } from './tied-cross-entropy.ts'
export { tiedLinear } from './tied-linear.ts'
