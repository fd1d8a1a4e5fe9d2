import { ShapeError } from '../../errors.ts'
import { geluBackward } from '../../kernels/gelu.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { gradTarget, op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/**
 * x [..., K] times weightᵀ, weight [N, K], plus bias [N]: `torch.nn.functional.linear`. Result [..., N]. With an activation,
 * the result is what `gelu` of it would be, in one launch.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { activation }: { activation?: 'gelu' | undefined } = {},
): Tensor {
  const [M, K] = rowsAndColumns(x)
  const N = weight.shape[0]!
  expectShape('linear: weight', weight, [N, K])
  if (bias) expectShape('linear: bias', bias, [N])
  const inputs = bias ? [x, weight, bias] : [x, weight]
  return op('linear', x.gpu, inputs, ({ gpu, recording, empty, saved }) => {
    const y = empty([...x.shape.slice(0, -1), N])
    const pre = activation && recording ? saved(y.shape) : undefined
    const product = { a: x.view, b: weight.view, c: y.view, bias: bias?.view, M, N, K, layout: 'NT' } as const
    matmulKernel(gpu, { ...product, activation, pre: pre?.view })
    return {
      output: y,
      backward: dy => {
        const dpre = pre ? empty(y.shape) : dy
        if (pre) geluBackward(gpu, { x: pre.view, dy: dy.view, dx: dpre.view, n: y.size })
        const dweight = weight.requiresGrad ? gradTarget(weight) : undefined
        const dbias = bias?.requiresGrad ? gradTarget(bias) : undefined
        // One pass over dy gives both, where both are started or both go on.
        const together = dweight && dbias && dweight.accumulate === dbias.accumulate
        if (dweight) {
          const sums = together ? dbias.view : undefined
          const product = {
            a: dpre.view,
            b: x.view,
            c: dweight.view,
            M: N,
            N: K,
            K: M,
            layout: 'TN',
          } as const
          matmulKernel(gpu, { ...product, accumulate: dweight.accumulate, sums })
        }
        if (dbias && !together) {
          const { view, accumulate } = dbias
          columnSum(gpu, { x: dpre.view, out: view, rows: M, C: N, accumulate })
        }
        if (x.requiresGrad) {
          const { view, accumulate } = gradTarget(x)
          matmulKernel(gpu, {
            a: dpre.view,
            b: weight.view,
            c: view,
            M,
            N: K,
            K: N,
            layout: 'NN',
            accumulate,
          })
        }
        if (pre) dpre.dispose()
        return []
      },
    }
  })
}

/** a [M, K] times b [K, N]: `torch.matmul` of two matrices. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] !== b.shape[0]) {
    throw new ShapeError(`matmul takes [M, K] and [K, N], got [${a.shape}] and [${b.shape}]`)
  }
  const [M, K] = a.shape as [number, number]
  const N = b.shape[1]!
  return op('matmul', a.gpu, [a, b], ({ gpu, empty }) => {
    const c = empty([M, N])
    matmulKernel(gpu, { a: a.view, b: b.view, c: c.view, M, N, K, layout: 'NN' })
    return {
      output: c,
      backward: dc => {
        let da: Tensor | undefined
        if (a.requiresGrad) {
          da = empty([M, K])
          matmulKernel(gpu, { a: dc.view, b: b.view, c: da.view, M, N: K, K: N, layout: 'NT' })
        }
        if (b.requiresGrad) {
          const { view, accumulate } = gradTarget(b)
          matmulKernel(gpu, { a: a.view, b: dc.view, c: view, M: K, N, K: M, layout: 'TN', accumulate })
        }
        return [da]
      },
    }
  })
}
