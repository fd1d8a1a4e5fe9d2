import { ShapeError } from '../../errors.ts'
import { bmm } from '../../kernels/bmm.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { broadcastShapes } from '../../kernels/strides.ts'
import { expectTensors } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { gradTarget, op } from '../tape.ts'
import { empty, type Shape, type Tensor } from '../tensor.ts'
import { reshape } from './arithmetic.ts'
import { cast } from './cast.ts'
import { sumTo } from './sum-to.ts'

/**
 * Products of matrices, a [..., M, K] times b [..., K, N], float32: `torch.matmul` of two or more dimensions. The dimensions before
 * the last two count batches, and are broadcast.
 *
 * @throws ShapeError for fewer than two dimensions, or where the inner ones differ
 */
export function matmul(first: Tensor, second: Tensor): Tensor {
  expectTensors('matmul', { a: first, b: second })
  const [left, right] = [first.shape, second.shape]
  if (left.length < 2 || right.length < 2 || left.at(-1) !== right.at(-2)) {
    throw new ShapeError(
      `matmul takes [..., M, K] and [..., K, N], got [${first.shape.join(', ')}] and [${second.shape.join(', ')}]`,
    )
  }
  const [a, b] = [cast(first, 'f32'), cast(second, 'f32')]
  if (b.shape.length > 2) return batched(a, b)
  if (a.shape.length === 2) return product(a, b)
  // One matrix for all batches: they are rows of one product.
  const [K, N] = b.shape as [number, number]
  const rows = a.shape.slice(0, -1)
  const M = rows.reduce((n, size) => n * size, 1)
  return reshape(product(reshape(a, [M, K]), b), [...rows, N])
}

const batched = defineOp({
  name: 'matmul',
  inputs: ['a', 'b'],
  dtypes: { a: ['f32'], b: ['f32'] },
  shape: ({ a, b }) => [...batchesOf(a, b), a.shape.at(-2)!, b.shape.at(-1)!],
  forward: ({ gpu, a, b, out }) =>
    bmm(gpu, { a: a.view, b: b.view, c: out.view, ...sizesOf(a, b), layout: 'NN' }),
  backward({ gpu, a, b, dout, needsInputGrad }) {
    const { M, N, K, batches, aBatches, bBatches } = sizesOf(a, b)
    const passed: { a?: Tensor; b?: Tensor } = {}
    const gradient = (of: Tensor, shape: Shape, launch: (c: Tensor) => void) => {
      const full = empty(gpu, shape)
      launch(full)
      if (full.shape.join() === of.shape.join()) return full
      const own = sumTo(full, of)
      full.dispose()
      return own
    }
    if (needsInputGrad.a) {
      const sizes = { M, N: K, K: N, batches, aBatches: batches, bBatches, layout: 'NT' } as const
      passed.a = gradient(a, [...batches, M, K], da =>
        bmm(gpu, { a: dout.view, b: b.view, c: da.view, ...sizes }),
      )
    }
    if (needsInputGrad.b) {
      const sizes = { M: K, N, K: M, batches, aBatches, bBatches: batches, layout: 'TN' } as const
      passed.b = gradient(b, [...batches, K, N], db =>
        bmm(gpu, { a: a.view, b: dout.view, c: db.view, ...sizes }),
      )
    }
    return passed
  },
})

const batchesOf = (a: Tensor, b: Tensor): Shape =>
  broadcastShapes('matmul', [a.shape.slice(0, -2), b.shape.slice(0, -2)])

function sizesOf(a: Tensor, b: Tensor) {
  const [M, K] = a.shape.slice(-2) as [number, number]
  const [aBatches, bBatches] = [a.shape.slice(0, -2), b.shape.slice(0, -2)]
  return { M, N: b.shape.at(-1)!, K, batches: batchesOf(a, b), aBatches, bBatches }
}

/** Two matrices. */
function product(a: Tensor, b: Tensor): Tensor {
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
