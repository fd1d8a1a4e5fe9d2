import type { View } from '../../gpu/index.ts'
import { joinColumns, splitColumns } from '../../kernels/concat.ts'
import {
  firstTokenBackward,
  firstToken as firstTokenKernel,
  meanPoolBackward,
  meanPool as meanPoolKernel,
} from '../../kernels/mean_pool.ts'
import { expectRank, expectTensor } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { concatColumns, expectParts } from './concat.ts'
import { expectRows, type PackedRows } from './packed-rows.ts'
import { rowsAndColumns } from './shapes.ts'

function expectTokens(op: string, x: Tensor, packed: PackedRows): void {
  expectTensor(op, 'x', x)
  expectRank(op, 'x', x, '[T, H]', 2)
  expectRows(op, packed, x)
}

/** Mean over each packed row's unmasked tokens: x [T, H] to [B, H] float32. A row without any gives zeros. */
export function meanPool(x: Tensor, packed: PackedRows): Tensor {
  expectTokens('meanPool', x, packed)
  const { keyMask, cuSeqlens, rowIds } = packed
  const [T, H] = x.shape as [number, number]
  const B = cuSeqlens.size - 1
  return op('meanPool', x.gpu, [x], ({ gpu, empty, saved }) => {
    const out = empty([B, H])
    const counts = saved([B])
    meanPoolKernel(gpu, {
      x: x.view,
      keyMask: keyMask.view,
      cuSeqlens: cuSeqlens.view,
      out: out.view,
      counts: counts.view,
      B,
      H,
      storage: x.storage,
    })
    return {
      output: out,
      backward: dy => {
        const dx = empty(x.shape, x.dtype)
        meanPoolBackward(gpu, {
          dy: dy.view,
          keyMask: keyMask.view,
          rowIds: rowIds.view,
          counts: counts.view,
          dx: dx.view,
          T,
          H,
          storage: x.storage,
        })
        return [dx]
      },
    }
  })
}

/**
 * concat([meanPool(x, rows), ...parts]): [B, H + the parts' widths], the mean written where it is wanted and all parts copied
 * together. A part is [B, w], or [B] as one column.
 */
export function meanPoolConcat(x: Tensor, packed: PackedRows, tabular: Tensor[]): Tensor {
  expectTokens('meanPoolConcat', x, packed)
  expectParts('meanPoolConcat', tabular, { name: 'the batch', gpu: x.gpu, rows: packed.cuSeqlens.size - 1 })
  // Halves are read four at a time, and the columns need not start or end at a multiple of four.
  if (x.dtype === 'f16') return concatColumns([meanPool(x, packed), ...tabular])
  const { keyMask, cuSeqlens, rowIds } = packed
  const parts = tabular.map(part => cast(part, 'f32'))
  const [T, H] = x.shape as [number, number]
  const B = cuSeqlens.size - 1
  const widths = parts.map(part => (part.shape.length === 1 ? 1 : rowsAndColumns(part)[1]))
  const starts = widths.map((_, i) => widths.slice(0, i).reduce((sum, width) => sum + width, H))
  const total = widths.reduce((sum, width) => sum + width, H)
  return op('meanPoolConcat', x.gpu, [x, ...parts], ({ gpu, empty, saved }) => {
    const out = empty([B, total])
    const counts = saved([B])
    const shared = { keyMask: keyMask.view, counts: counts.view, H }
    const pooled = { x: x.view, cuSeqlens: cuSeqlens.view, out: out.view, outWidth: total, B }
    meanPoolKernel(gpu, { ...shared, ...pooled })
    const place = (view: View, i: number) => ({ view, width: widths[i]!, column: starts[i]! })
    const placed = parts.map((part, i) => place(part.view, i))
    joinColumns(gpu, { parts: placed, target: out.view, targetWidth: total, rows: B })
    return {
      output: out,
      backward: dy => {
        const dx = x.requiresGrad ? empty(x.shape) : undefined
        const spread = { dy: dy.view, rowIds: rowIds.view, dyWidth: total, T }
        if (dx) meanPoolBackward(gpu, { ...shared, ...spread, dx: dx.view })
        const gradients = parts.map(part => (part.requiresGrad ? empty(part.shape) : undefined))
        const wanted = gradients.flatMap((gradient, i) => (gradient ? [place(gradient.view, i)] : []))
        splitColumns(gpu, { parts: wanted, source: dy.view, sourceWidth: total, rows: B })
        return [dx, ...gradients]
      },
    }
  })
}

/** The first token of each packed row: x [T, H] to [B, H] float32. */
export function firstToken(x: Tensor, packed: PackedRows): Tensor {
  expectTokens('firstToken', x, packed)
  const { cuSeqlens, rowIds } = packed
  const [T, H] = x.shape as [number, number]
  const B = cuSeqlens.size - 1
  return op('firstToken', x.gpu, [x], ({ gpu, empty }) => {
    const out = empty([B, H])
    firstTokenKernel(gpu, { x: x.view, cuSeqlens: cuSeqlens.view, out: out.view, B, H, storage: x.storage })
    return {
      output: out,
      backward: dy => {
        const dx = empty(x.shape, x.dtype)
        firstTokenBackward(gpu, {
          dy: dy.view,
          cuSeqlens: cuSeqlens.view,
          rowIds: rowIds.view,
          dx: dx.view,
          T,
          H,
          storage: x.storage,
        })
        return [dx]
      },
    }
  })
}
