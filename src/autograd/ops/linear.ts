import { expectOneOf, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import type { View } from '../../gpu/index.ts'
import { geluBackward } from '../../kernels/gelu.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { activationDType } from '../autocast.ts'
import { expectLast, expectRank, expectTensors, FLOAT32 } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { halfView } from '../half-copy.ts'
import { DenseParameter } from '../parameter.ts'
import { empty, type Tensor } from '../tensor.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/** A weight as a matmul reads it: the same in both steps, whatever autocast says by then. */
interface Operand {
  view: View
  storage: 'f32' | 'f16'
}

const affine = defineOp({
  name: 'linear',
  inputs: ['x', 'weight', 'bias?'],
  dtypes: { x: ['f32', 'f16'], weight: ['f32', 'f16'], bias: ['f32'] },
  mixed: true,
  shape({ x, weight }, _: { activation: 'gelu' | undefined; w: Operand }) {
    const shape = [...x.shape.slice(0, -1), weight.shape[0]!]
    return { shape, dtype: activationDType(shape) }
  },
  saved({ x, weight }, { activation }, recording) {
    const shape = [...x.shape.slice(0, -1), weight.shape[0]!]
    return { 'pre?': activation && recording ? { shape, dtype: activationDType(shape) } : undefined }
  },
  forward({ gpu, x, weight, bias, pre, out }, { activation, w }) {
    const [M, K] = rowsAndColumns(x)
    const N = weight.shape[0]!
    matmulKernel(gpu, {
      a: x.view,
      b: w.view,
      c: out.view,
      bias: bias?.view,
      M,
      N,
      K,
      layout: 'NT',
      stored: { a: x.storage, b: w.storage, c: out.storage },
      activation,
      pre: pre?.view,
    })
  },
  backward({ gpu, x, weight, pre, out, dout, needsInputGrad, into }, { w }) {
    const [M, K] = rowsAndColumns(x)
    const N = weight.shape[0]!
    const { storage } = out
    const dpre = pre ? empty(gpu, out.shape, out.dtype) : dout
    if (pre) geluBackward(gpu, { x: pre.view, dy: dout.view, dx: dpre.view, n: out.size, storage })
    const dweight = needsInputGrad.weight ? into.weight : undefined
    const dbias = needsInputGrad.bias ? into.bias : undefined
    // One pass over dy gives both, where both are started or both go on.
    const together = dweight && dbias && dweight.accumulate === dbias.accumulate
    if (dweight) {
      const { view, accumulate } = dweight
      matmulKernel(gpu, {
        a: dpre.view,
        b: x.view,
        c: view,
        M: N,
        N: K,
        K: M,
        layout: 'TN',
        stored: { a: storage, b: x.storage, c: weight.storage },
        accumulate,
        sums: together ? dbias.view : undefined,
      })
    }
    if (dbias && !together) {
      const { view, accumulate } = dbias
      columnSum(gpu, { x: dpre.view, out: view, rows: M, C: N, accumulate, storage })
    }
    if (needsInputGrad.x) {
      const { view, accumulate } = into.x
      const stored = { a: storage, b: w.storage, c: x.storage }
      matmulKernel(gpu, { a: dpre.view, b: w.view, c: view, M, N: K, K: N, layout: 'NN', stored, accumulate })
    }
    if (pre) dpre.dispose()
  },
})

/**
 * x [..., K] times weightᵀ, weight [N, K], plus bias [N]: `torch.nn.functional.linear`. Result [..., N]. With an activation,
 * the result is what `gelu` of it would be, in one launch. Under `autocast` the result is f16, and a parameter's f16 copy takes
 * the weight's place; sums are float32, and so are the gradients of weight and bias.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: { activation?: 'gelu' | undefined } = {},
): Tensor {
  expectOptions('linear: options', options, ['activation'])
  const { activation } = options
  expectOneOf('linear: activation', activation, ['gelu', undefined])
  const gpu = expectTensors('linear', { x, weight })
  if (bias !== undefined) expectTensors('linear', { bias }, FLOAT32, { name: 'x', gpu })
  expectRank('linear', 'weight', weight, '[out, in]', 2)
  const N = weight.shape[0]!
  expectWidth(x, weight)
  if (bias) expectShape('linear: bias', bias, [N])
  return affine(x, weight, bias, { activation, w: operand(weight) })
}

/** A parameter is as it is meant to be, and x is not; of two tensors, either may be wrong. */
function expectWidth(x: Tensor, weight: Tensor): void {
  const [N, K] = weight.shape as [number, number]
  if (weight instanceof DenseParameter) expectLast('linear', 'x', x, K, `weight has shape [${weight.shape}]`)
  else if (x.shape.at(-1) !== K)
    throw new ShapeError(
      `linear: weight has shape [${weight.shape}], expected [${N},${x.shape.at(-1) ?? '…'}], or x one of ${K} features: it has shape [${x.shape}]`,
    )
}

/** A weight as a matmul reads it now: a parameter's f16 copy under autocast. */
function operand(weight: Tensor): Operand {
  return weight instanceof DenseParameter && activationDType(weight.shape) === 'f16'
    ? { view: halfView(weight), storage: 'f16' }
    : weight
}
