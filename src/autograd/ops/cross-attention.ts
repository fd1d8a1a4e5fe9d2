import { expectFlag, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import {
  crossAttentionBackward,
  crossAttention as crossAttentionKernel,
} from '../../kernels/cross_attention.ts'
import { expectRank, expectTensor, IDS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { empty, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { split } from './moves.ts'
import type { PackedRows } from './packed-rows.ts'
import { expectShape } from './shapes.ts'

/** Where packed rows begin, and which of their tokens are keys. */
export type KeyRows = Pick<PackedRows, 'cuSeqlens'> & Partial<Pick<PackedRows, 'keyMask'>>

/** How queries meet keys. */
export interface CrossAttentionOptions {
  /** [B + 1] of the queries. */
  queries: Pick<PackedRows, 'cuSeqlens'>
  /** [B + 1] of the keys, and [T], 0 where a token is no key; all are unless given. */
  keys: KeyRows
  /** Number of heads. */
  heads: number
  /** A query sees the keys at its own place of the row and before: `is_causal`. */
  causal?: boolean
}

interface Sizes {
  A: number
  causal: boolean
  masked: boolean
}

const attend = defineOp({
  name: 'crossAttention',
  inputs: ['q', 'k', 'v', 'index', 'queryStarts'],
  dtypes: { q: ['f32'], k: ['f32'], v: ['f32'], index: ['u32'], queryStarts: ['u32'] },
  saved: ({ q }, { A }: Sizes) => ({ lse: [q.shape[0]!, A] }),
  forward: ({ gpu, out, lse, ...inputs }, options) =>
    crossAttentionKernel(gpu, { ...launch(inputs, options), out: out.view, lse: lse.view }),
  backward(context, options) {
    const { gpu, out, lse, dout, needsInputGrad } = context
    crossAttentionBackward(gpu, {
      ...launch(context, options),
      out: out.view,
      lse: lse.view,
      dout: dout.view,
      ...(needsInputGrad.q && { dq: context.dq.view }),
      ...(needsInputGrad.k && { dk: context.dk.view }),
      ...(needsInputGrad.v && { dv: context.dv.view }),
    })
  },
})

function launch(
  { q, k, v, index, queryStarts }: Record<'q' | 'k' | 'v' | 'index' | 'queryStarts', Tensor>,
  { A, causal, masked }: Sizes,
) {
  const [Tq, H] = q.shape as [number, number]
  const sizes = { B: queryStarts.size - 1, Tq, Tk: k.shape[0]!, A, D: H / A, causal, masked }
  return { q: q.view, k: k.view, v: v.view, index: index.view, ...sizes }
}

/**
 * Multi-head attention from the tokens of packed rows to those of others: `scaled_dot_product_attention`. q [Tq, H], k and v [Tk, H];
 * result [Tq, H] in q's dtype. Row b of the queries meets row b of the keys. A query without a key gets zeros.
 */
export function crossAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: CrossAttentionOptions,
): Tensor {
  expectOptions('crossAttention: options', options, ['queries', 'keys', 'heads', 'causal'])
  const { queries, keys, heads, causal = false } = options
  expectFlag('crossAttention: causal', causal)
  for (const [name, rows] of Object.entries({ queries, keys }))
    expectTensor('crossAttention', `${name}.cuSeqlens`, rows?.cuSeqlens, IDS)
  const [q, k, v] = [query, key, value].map(x => cast(x, 'f32')) as [Tensor, Tensor, Tensor]
  const [Tk, H] = k.shape as [number, number]
  expectShape('crossAttention: q', q, [q.shape[0]!, H])
  expectShape('crossAttention: k', k, [Tk, H])
  expectShape('crossAttention: v', v, [Tk, H])
  if (!Number.isInteger(H / heads))
    throw new ShapeError(`crossAttention: ${H} hidden units do not split into ${heads} heads`)
  const B = queries.cuSeqlens.size - 1
  expectShape('crossAttention: keys.cuSeqlens', keys.cuSeqlens, [B + 1])
  if (keys.keyMask) expectShape('crossAttention: keys.keyMask', keys.keyMask, [Tk])
  // One binding for all of it: with those of the backward pass there are eight.
  const index = empty(q.gpu, [2 * (B + 1) + (keys.keyMask ? Tk : 0)], 'u32')
  let at = 0
  for (const part of [queries.cuSeqlens, keys.cuSeqlens, keys.keyMask]) {
    if (!part) continue
    const { buffer, offset } = index.view
    if (part.size) q.gpu.copy(part.view, { buffer, offset: offset + at * 4, size: part.bytes }, part.bytes)
    at += part.size
  }
  const sizes = { A: heads, causal, masked: keys.keyMask !== undefined }
  return cast(attend(q, k, v, index, queries.cuSeqlens, sizes), query.storage)
}

/**
 * Self-attention in which a token sees itself and the tokens of its row before it. qkv: [T, 3 H], as `attention` takes it; result
 * [T, H].
 */
export function causalAttention(qkv: Tensor, rows: KeyRows, heads: number): Tensor {
  expectTensor('causalAttention', 'qkv', qkv)
  expectRank('causalAttention', 'qkv', qkv, '[T, 3 H]', 2)
  const width = qkv.shape[1]! / 3
  if (!Number.isInteger(width))
    throw new ShapeError(`causalAttention: qkv has shape [${qkv.shape.join(', ')}], expected [T, 3 H]`)
  const [q, k, v] = split(qkv, [width, width, width], 1) as [Tensor, Tensor, Tensor]
  return crossAttention(q, k, v, { queries: rows, keys: rows, heads, causal: true })
}
