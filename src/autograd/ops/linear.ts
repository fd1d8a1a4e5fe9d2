import { ShapeError } from '../../errors.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { gradTarget, op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/** x [..., K] times weightᵀ, weight [N, K], plus bias [N]: `torch.nn.functional.linear`. Result [..., N]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [M, K] = rowsAndColumns(x)
  const N = weight.shape[0]!
  expectShape('linear: weight', weight, [N, K])
  if (bias) expectShape('linear: bias', bias, [N])
  return op('linear', x.gpu, bias ? [x, weight, bias] : [x, weight], ({ gpu, empty }) => {
    const y = empty([...x.shape.slice(0, -1), N])
    matmulKernel(gpu, { a: x.view, b: weight.view, c: y.view, bias: bias?.view, M, N, K, layout: 'NT' })
    return {
      output: y,
      backward: dy => {
        if (weight.requiresGrad) {
          const { view, accumulate } = gradTarget(weight)
          matmulKernel(gpu, { a: dy.view, b: x.view, c: view, M: N, N: K, K: M, layout: 'TN', accumulate })
        }
        if (bias?.requiresGrad) {
          const { view, accumulate } = gradTarget(bias)
          columnSum(gpu, { x: dy.view, out: view, rows: M, C: N, accumulate })
        }
        if (x.requiresGrad) {
          const { view, accumulate } = gradTarget(x)
          matmulKernel(gpu, { a: dy.view, b: weight.view, c: view, M, N: K, K: N, layout: 'NN', accumulate })
        }
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
