import { ShapeError } from '../../errors.ts'
import { bmm } from '../../kernels/bmm.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { broadcastShapes, numel } from '../../kernels/strides.ts'
import { expectTensors } from '../checks.ts'
import { defineOp } from '../define-op.ts'
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
  const M = numel(rows)
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
const product = defineOp({
  name: 'matmul',
  inputs: ['a', 'b'],
  dtypes: { a: ['f32'], b: ['f32'] },
  shape: ({ a, b }) => [a.shape[0]!, b.shape[1]!],
  forward({ gpu, a, b, out }) {
    const { M, N, K } = sizesOf(a, b)
    matmulKernel(gpu, { a: a.view, b: b.view, c: out.view, M, N, K, layout: 'NN' })
  },
  backward(context) {
    const { gpu, a, b, dout, needsInputGrad, into } = context
    const { M, N, K } = sizesOf(a, b)
    if (needsInputGrad.a) {
      const views = { a: dout.view, b: b.view, c: context.da.view }
      matmulKernel(gpu, { ...views, M, N: K, K: N, layout: 'NT' })
    }
    if (needsInputGrad.b) {
      const { view, accumulate } = into.b
      matmulKernel(gpu, { a: a.view, b: dout.view, c: view, M: K, N, K: M, layout: 'TN', accumulate })
    }
  },
})
