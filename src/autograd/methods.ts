// The operations as methods of a tensor, for those who come from PyTorch: `a.mul(b).sum(1)`. Whoever loads this module has them; the
// main entry does, and a page that is to load none of them imports from the rooms (`kernelgrad/nn`, `kernelgrad/train`).
import { gelu, relu, softmax } from './ops/activations.ts'
import { reshape, scale } from './ops/arithmetic.ts'
import type { Axes } from './ops/axes.ts'
import { cast } from './ops/cast.ts'
import { logSoftmax, normalize } from './ops/losses.ts'
import { matmul } from './ops/matmul.ts'
import {
  expand,
  indexSelect,
  permute,
  type SliceOptions,
  select,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
} from './ops/moves.ts'
import {
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
} from './ops/pointwise.ts'
import {
  logSumExp,
  max,
  mean,
  min,
  type ReductionOptions,
  std,
  sum,
  type VarianceOptions,
  variance,
} from './ops/reductions.ts'
import { argmax, gather, type TopK, topK } from './ops/selection.ts'
import { takeRows } from './ops/take-rows.ts'
import { type Shape, Tensor } from './tensor.ts'

/** Every operation whose first operand is a tensor, as a method of it: `a.mul(b).sum(1)` is `sum(mul(a, b), 1)`. */
export interface TensorMethods {
  /** {@link abs} of this tensor. */
  abs(): Tensor
  /** {@link square} of this tensor. */
  square(): Tensor
  /** {@link exp} of this tensor. */
  exp(): Tensor
  /** {@link expm1} of this tensor. */
  expm1(): Tensor
  /** {@link log} of this tensor. */
  log(): Tensor
  /** {@link log1p} of this tensor. */
  log1p(): Tensor
  /** {@link sqrt} of this tensor. */
  sqrt(): Tensor
  /** {@link rsqrt} of this tensor. */
  rsqrt(): Tensor
  /** {@link reciprocal} of this tensor. */
  reciprocal(): Tensor
  /** {@link sigmoid} of this tensor. */
  sigmoid(): Tensor
  /** {@link tanh} of this tensor. */
  tanh(): Tensor
  /** {@link silu} of this tensor. */
  silu(): Tensor
  /** {@link softplus} of this tensor. */
  softplus(): Tensor
  /** {@link gelu} of this tensor. */
  gelu(): Tensor
  /** {@link relu} of this tensor. */
  relu(): Tensor
  /** {@link neg} of this tensor. */
  neg(): Tensor
  /** {@link softmax} of this tensor. */
  softmax(): Tensor
  /** {@link logSoftmax} of this tensor. */
  logSoftmax(): Tensor
  /** {@link detach} of this tensor. */
  detach(): Tensor
  /** {@link add} of this tensor and another operand. */
  add(other: Operand): Tensor
  /** {@link sub} of this tensor and another operand. */
  sub(other: Operand): Tensor
  /** {@link mul} of this tensor and another operand. */
  mul(other: Operand): Tensor
  /** {@link div} of this tensor and another operand. */
  div(other: Operand): Tensor
  /** {@link maximum} of this tensor and another operand. */
  maximum(other: Operand): Tensor
  /** {@link minimum} of this tensor and another operand. */
  minimum(other: Operand): Tensor
  /** {@link pow} of this tensor and another operand. */
  pow(other: Operand): Tensor
  /** {@link eq} of this tensor and another operand. */
  eq(other: Operand): Tensor
  /** {@link ne} of this tensor and another operand. */
  ne(other: Operand): Tensor
  /** {@link lt} of this tensor and another operand. */
  lt(other: Operand): Tensor
  /** {@link le} of this tensor and another operand. */
  le(other: Operand): Tensor
  /** {@link gt} of this tensor and another operand. */
  gt(other: Operand): Tensor
  /** {@link ge} of this tensor and another operand. */
  ge(other: Operand): Tensor
  /** {@link leakyRelu} of this tensor. */
  leakyRelu(slope?: number): Tensor
  /** {@link elu} of this tensor. */
  elu(alpha?: number): Tensor
  /** {@link clamp} of this tensor. */
  clamp(low?: number, high?: number): Tensor
  /** {@link scale} of this tensor. */
  scale(factor: number): Tensor
  /** {@link cast} of this tensor. */
  cast(dtype: 'f32' | 'f16'): Tensor
  /** {@link matmul} of this tensor. */
  matmul(other: Tensor): Tensor
  /** {@link normalize} of this tensor. */
  normalize(axis?: number, eps?: number): Tensor
  /** {@link sum} of this tensor. */
  sum(axes?: Axes, options?: ReductionOptions): Tensor
  /** {@link mean} of this tensor. */
  mean(axes?: Axes, options?: ReductionOptions): Tensor
  /** {@link max} of this tensor. */
  max(axes?: Axes, options?: ReductionOptions): Tensor
  /** {@link min} of this tensor. */
  min(axes?: Axes, options?: ReductionOptions): Tensor
  /** {@link logSumExp} of this tensor. */
  logSumExp(axes?: Axes, options?: ReductionOptions): Tensor
  /** {@link variance} of this tensor. */
  variance(axes?: Axes, options?: VarianceOptions): Tensor
  /** {@link std} of this tensor. */
  std(axes?: Axes, options?: VarianceOptions): Tensor
  /** {@link argmax} of this tensor. */
  argmax(axis?: number, options?: { keepdim?: boolean }): Tensor
  /** {@link topK} of this tensor. */
  topK(k: number, axis?: number): TopK
  /** {@link gather} of this tensor. */
  gather(axis: number, indices: Tensor): Tensor
  /** {@link takeRows} of this tensor. */
  takeRows(rows: Uint32Array): Tensor
  /** {@link indexSelect} of this tensor. */
  indexSelect(axis: number, ids: Uint32Array): Tensor
  /** {@link reshape} of this tensor. */
  reshape(shape: Shape): Tensor
  /** {@link expand} of this tensor. */
  expand(shape: Shape): Tensor
  /** {@link permute} of this tensor. */
  permute(order: readonly number[]): Tensor
  /** {@link transpose} of this tensor. */
  transpose(first?: number, second?: number): Tensor
  /** {@link slice} of this tensor. */
  slice(axis: number, options?: SliceOptions): Tensor
  /** {@link select} of this tensor. */
  select(axis: number, index: number): Tensor
  /** {@link split} of this tensor. */
  split(sizes: number | readonly number[], axis?: number): Tensor[]
  /** {@link squeeze} of this tensor. */
  squeeze(axis: number): Tensor
  /** {@link unsqueeze} of this tensor. */
  unsqueeze(axis: number): Tensor
}

declare module './tensor.ts' {
  interface Tensor extends TensorMethods {}
}

const METHODS: {
  [K in keyof TensorMethods]: (
    x: Tensor,
    ...rest: Parameters<TensorMethods[K]>
  ) => ReturnType<TensorMethods[K]>
} = {
  abs,
  add,
  argmax,
  cast,
  clamp,
  detach,
  div,
  elu,
  eq,
  exp,
  expand,
  expm1,
  gather,
  ge,
  gelu,
  gt,
  indexSelect,
  le,
  leakyRelu,
  log,
  log1p,
  logSoftmax,
  logSumExp,
  lt,
  matmul,
  max,
  maximum,
  mean,
  min,
  minimum,
  mul,
  ne,
  neg,
  normalize,
  permute,
  pow,
  reciprocal,
  relu,
  reshape,
  rsqrt,
  scale,
  select,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  split,
  sqrt,
  square,
  squeeze,
  std,
  sub,
  sum,
  takeRows,
  tanh,
  topK,
  transpose,
  unsqueeze,
  variance,
}

for (const [name, operation] of Object.entries(METHODS)) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]) {
      return (operation as (...all: unknown[]) => unknown)(this, ...rest)
    },
  })
}
