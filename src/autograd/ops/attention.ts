import { ShapeError } from '../../errors.ts'
import { attentionBackward, attention as attentionKernel } from '../../kernels/attention.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import type { Rng } from './dropout.ts'
import { expectShape } from './shapes.ts'

/** Where the packed rows of a batch lie, on the device; all uint32. */
export interface PackedRows {
  /** [T], 0 where a token is not to be attended to, nor pooled. */
  keyMask: Tensor
  /** [B + 1], row b holds the tokens cuSeqlens[b] to cuSeqlens[b + 1] - 1. */
  cuSeqlens: Tensor
  /** [T], the row each token is in. */
  rowIds: Tensor
}

/**
 * Multi-head self-attention inside each packed row (Vaswani et al. 2017; online softmax and saved log-sum-exp after Dao
 * et al. 2022). qkv: [T, 3 H], each token's query, key and value side by side; result [T, H]. Scores are scaled by
 * 1 / sqrt(H / heads). A token whose row has no key gets zeros.
 */
export function attention(
  packed: Tensor,
  rows: PackedRows,
  heads: number,
  { p = 0, rng }: { p?: number; rng?: Rng } = {},
): Tensor {
  // Heads are what is stored four at a time: of another size, they take float32.
  const narrow = packed.dtype === 'f16' && (packed.shape[1]! / 3 / heads) % 4 !== 0
  const qkv = narrow ? cast(packed, 'f32') : packed
  const [T, width] = qkv.shape as [number, number]
  const H = width / 3
  const D = H / heads
  if (!Number.isInteger(D))
    throw new ShapeError(`attention: ${H} hidden units do not split into ${heads} heads`)
  expectShape('attention: keyMask', rows.keyMask, [T])
  expectShape('attention: rowIds', rows.rowIds, [T])
  const shape = {
    qkv: qkv.view,
    keyMask: rows.keyMask.view,
    cuSeqlens: rows.cuSeqlens.view,
    T,
    A: heads,
    D,
    p,
    rng,
    storage: qkv.storage,
  }
  return op('attention', qkv.gpu, [qkv], ({ gpu, empty, saved }) => {
    const out = empty([T, H], qkv.dtype)
    const lse = saved([T, heads])
    attentionKernel(gpu, { ...shape, out: out.view, lse: lse.view })
    return {
      output: out,
      backward: dout => {
        const dqkv = empty(qkv.shape, qkv.dtype)
        attentionBackward(gpu, { ...shape, out: out.view, lse: lse.view, dout: dout.view, dqkv: dqkv.view })
        return [dqkv]
      },
    }
  })
}
