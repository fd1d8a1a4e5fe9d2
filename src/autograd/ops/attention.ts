import { BELOW_ONE, COUNT, expectNumber, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { attentionBackward, attention as attentionKernel } from '../../kernels/attention.ts'
import { expectRank, expectRng, expectTensor } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import type { Rng } from './dropout.ts'
import { expectRows, type PackedRows } from './packed-rows.ts'

function checkHeads({ shape }: Tensor, heads: number): void {
  const H = shape[1]! / 3
  if (!Number.isInteger(H))
    throw new ShapeError(
      `attention: qkv has shape [${shape}], expected [T, 3 H]: ${shape[1]} is no multiple of 3`,
    )
  if (H === 0 || H % heads)
    throw new ShapeError(`attention: ${H} hidden units do not split into ${heads} heads`)
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
  options: { p?: number; rng?: Rng } = {},
): Tensor {
  expectOptions('attention: options', options, ['p', 'rng'])
  const { p = 0, rng } = options
  expectNumber('attention: p', p, BELOW_ONE)
  if (p > 0 || rng !== undefined) expectRng('attention: rng', rng)
  expectTensor('attention', 'qkv', packed)
  expectRank('attention', 'qkv', packed, '[T, 3 H]', 2)
  expectNumber('attention: heads', heads, COUNT)
  checkHeads(packed, heads)
  expectRows('attention', rows, packed)
  // Heads are what is stored four at a time: of another size, they take float32.
  const narrow = packed.dtype === 'f16' && (packed.shape[1]! / 3 / heads) % 4 !== 0
  const qkv = narrow ? cast(packed, 'f32') : packed
  const [T, width] = qkv.shape as [number, number]
  const H = width / 3
  const D = H / heads
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
