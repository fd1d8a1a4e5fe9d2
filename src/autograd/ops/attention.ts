import { BELOW_ONE, COUNT, expectNumber, expectOptions, expectRng } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { attentionBackward, attention as attentionKernel } from '../../kernels/attention.ts'
import type { Rng } from '../../kernels/dropout.ts'
import { expectRank, expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectRows, longestRow, type PackedRows } from './packed-rows.ts'

function checkHeads({ shape }: Tensor, heads: number): void {
  const H = shape[1]! / 3
  if (!Number.isInteger(H))
    throw new ShapeError(
      `attention: qkv has shape [${shape}], expected [T, 3 H]: ${shape[1]} is no multiple of 3`,
    )
  if (H === 0 || H % heads)
    throw new ShapeError(`attention: ${H} hidden units do not split into ${heads} heads`)
}

const attend = defineOp({
  name: 'attention',
  inputs: ['qkv', 'keyMask', 'cuSeqlens'],
  dtypes: { qkv: ['f32', 'f16'], keyMask: ['u32'], cuSeqlens: ['u32'] },
  shape: ({ qkv }, _: Heads) => [qkv.shape[0]!, qkv.shape[1]! / 3],
  saved: ({ qkv }, { A }) => ({ lse: [qkv.shape[0]!, A] }),
  forward: ({ gpu, out, lse, ...inputs }, heads) =>
    attentionKernel(gpu, { ...launch(inputs, heads), out: out.view, lse: lse.view }),
  backward(context, heads) {
    const { gpu, out, lse, dout, dqkv } = context
    const views = { out: out.view, lse: lse.view, dout: dout.view, dqkv: dqkv.view }
    attentionBackward(gpu, { ...launch(context, heads), ...views })
  },
})

interface Heads {
  A: number
  p: number
  rng: Rng | undefined
}

const launch = (
  { qkv, keyMask, cuSeqlens }: Record<'qkv' | 'keyMask' | 'cuSeqlens', Tensor>,
  { A, p, rng }: Heads,
) => ({
  qkv: qkv.view,
  keyMask: keyMask.view,
  cuSeqlens: cuSeqlens.view,
  T: qkv.shape[0]!,
  A,
  D: qkv.shape[1]! / 3 / A,
  p,
  rng,
  storage: qkv.storage,
  longest: longestRow(cuSeqlens),
})

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
  return attend(qkv, rows.keyMask, rows.cuSeqlens, { A: heads, p, rng })
}
