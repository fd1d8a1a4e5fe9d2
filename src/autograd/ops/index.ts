export { gelu, relu, softmax } from './activations.ts'
export { addSame, reshape, scale, scaleBy } from './arithmetic.ts'
export { attention, type PackedRows } from './attention.ts'
export type { Axes } from './axes.ts'
export { cast } from './cast.ts'
export { concat } from './concat.ts'
export { crossEntropy } from './cross-entropy.ts'
export { dropout, type Rng } from './dropout.ts'
export { embedding, type Lookup } from './embedding.ts'
export { type LayerNormOptions, layerNorm } from './layernorm.ts'
export { linear, matmul } from './linear.ts'
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
export { takeRows } from './take-rows.ts'
export { tiedLinear } from './tied-linear.ts'
