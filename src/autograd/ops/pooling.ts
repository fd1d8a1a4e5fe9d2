import {
  firstTokenBackward,
  firstToken as firstTokenKernel,
  meanPoolBackward,
  meanPool as meanPoolKernel,
} from '../../kernels/mean_pool.ts'
import { expectRank, expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { op } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'
import { concatColumns, expectParts, type Part, sideBySide } from './concat.ts'
import { expectRows, type PackedRows } from './packed-rows.ts'

function expectTokens(op: string, x: Tensor, packed: PackedRows): void {
  expectTensor(op, 'x', x)
  expectRank(op, 'x', x, '[T, H]', 2)
  expectRows(op, packed, x)
}

const pooled = defineOp({
  name: 'meanPool',
  inputs: ['x', 'keyMask', 'cuSeqlens', 'rowIds'],
  dtypes: { x: ['f32', 'f16'], keyMask: ['u32'], cuSeqlens: ['u32'], rowIds: ['u32'] },
  shape: ({ x, cuSeqlens }) => ({ shape: [cuSeqlens.size - 1, x.shape[1]!], dtype: 'f32' }),
  saved: ({ cuSeqlens }) => ({ counts: [cuSeqlens.size - 1] }),
  forward({ gpu, x, keyMask, cuSeqlens, counts, out }) {
    const rows = { keyMask: keyMask.view, cuSeqlens: cuSeqlens.view, B: counts.size }
    const written = { out: out.view, counts: counts.view }
    meanPoolKernel(gpu, { x: x.view, ...rows, ...written, H: x.shape[1]!, storage: x.storage })
  },
  backward({ gpu, x, keyMask, rowIds, counts, dout, dx }) {
    const [T, H] = x.shape as [number, number]
    const rows = { keyMask: keyMask.view, rowIds: rowIds.view, counts: counts.view }
    meanPoolBackward(gpu, { dy: dout.view, ...rows, dx: dx.view, T, H, storage: x.storage })
  },
})

/** Mean over each packed row's unmasked tokens: x [T, H] to [B, H] float32. A row without any gives zeros. */
export function meanPool(x: Tensor, packed: PackedRows): Tensor {
  expectTokens('meanPool', x, packed)
  return pooled(x, packed.keyMask, packed.cuSeqlens, packed.rowIds)
}

/**
 * concat([meanPool(x, rows), ...parts]): [B, H + the parts' widths], the mean written where it is wanted and all parts copied
 * together. A part is [B, w], or [B] as one column, or `{ table, ids }` in place of `embedding(table, ids)`.
 */
export function meanPoolConcat(x: Tensor, packed: PackedRows, tabular: Part[]): Tensor {
  expectTokens('meanPoolConcat', x, packed)
  const B = packed.cuSeqlens.size - 1
  const { parts } = expectParts('meanPoolConcat', tabular, { name: 'the batch', gpu: x.gpu, rows: B })
  // Halves are read four at a time, and the columns need not start or end at a multiple of four.
  if (x.dtype === 'f16') return concatColumns([meanPool(x, packed), ...tabular])
  const { keyMask, cuSeqlens, rowIds } = packed
  const [T, H] = x.shape as [number, number]
  const { width, tensors, trained, join, split } = sideBySide(parts, B, H)
  return op(
    'meanPoolConcat',
    x.gpu,
    [x, ...tensors],
    context => {
      const { gpu } = context
      const out = context.empty([B, width])
      const counts = context.saved([B])
      const shared = { keyMask: keyMask.view, counts: counts.view, H }
      const pooled = { x: x.view, cuSeqlens: cuSeqlens.view, out: out.view, outWidth: width, B }
      meanPoolKernel(gpu, { ...shared, ...pooled })
      join(context, out)
      return {
        output: out,
        backward: dy => {
          const dx = x.requiresGrad ? empty(gpu, x.shape) : undefined
          const spread = { dy: dy.view, rowIds: rowIds.view, dyWidth: width, T }
          if (dx) meanPoolBackward(gpu, { ...shared, ...spread, dx: dx.view })
          return [dx, ...split(gpu, dy)]
        },
      }
    },
    trained,
  )
}

const first = defineOp({
  name: 'firstToken',
  inputs: ['x', 'cuSeqlens', 'rowIds'],
  dtypes: { x: ['f32', 'f16'], cuSeqlens: ['u32'], rowIds: ['u32'] },
  shape: ({ x, cuSeqlens }) => ({ shape: [cuSeqlens.size - 1, x.shape[1]!], dtype: 'f32' }),
  forward({ gpu, x, cuSeqlens, out }) {
    const [B, H] = out.shape as [number, number]
    const views = { x: x.view, cuSeqlens: cuSeqlens.view, out: out.view }
    firstTokenKernel(gpu, { ...views, B, H, storage: x.storage })
  },
  backward({ gpu, x, cuSeqlens, rowIds, dout, dx }) {
    const [T, H] = x.shape as [number, number]
    const rows = { cuSeqlens: cuSeqlens.view, rowIds: rowIds.view }
    firstTokenBackward(gpu, { dy: dout.view, ...rows, dx: dx.view, T, H, storage: x.storage })
  },
})

/** The first token of each packed row: x [T, H] to [B, H] float32. */
export function firstToken(x: Tensor, packed: PackedRows): Tensor {
  expectTokens('firstToken', x, packed)
  return first(x, packed.cuSeqlens, packed.rowIds)
}
