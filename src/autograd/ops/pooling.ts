import {
  firstTokenBackward,
  firstToken as firstTokenKernel,
  meanPoolBackward,
  meanPool as meanPoolKernel,
} from '../../kernels/mean_pool.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import type { PackedRows } from './attention.ts'

/** Mean over each packed row's unmasked tokens: x [T, H] to [B, H]. A row without any gives zeros. */
export function meanPool(x: Tensor, { keyMask, cuSeqlens, rowIds }: PackedRows): Tensor {
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
    })
    return {
      output: out,
      backward: dy => {
        const dx = empty(x.shape)
        meanPoolBackward(gpu, {
          dy: dy.view,
          keyMask: keyMask.view,
          rowIds: rowIds.view,
          counts: counts.view,
          dx: dx.view,
          T,
          H,
        })
        return [dx]
      },
    }
  })
}

/** The first token of each packed row: x [T, H] to [B, H]. */
export function firstToken(x: Tensor, { cuSeqlens, rowIds }: PackedRows): Tensor {
  const [T, H] = x.shape as [number, number]
  const B = cuSeqlens.size - 1
  return op('firstToken', x.gpu, [x], ({ gpu, empty }) => {
    const out = empty([B, H])
    firstTokenKernel(gpu, { x: x.view, cuSeqlens: cuSeqlens.view, out: out.view, B, H })
    return {
      output: out,
      backward: dy => {
        const dx = empty(x.shape)
        firstTokenBackward(gpu, {
          dy: dy.view,
          cuSeqlens: cuSeqlens.view,
          rowIds: rowIds.view,
          dx: dx.view,
          T,
          H,
        })
        return [dx]
      },
    }
  })
}
