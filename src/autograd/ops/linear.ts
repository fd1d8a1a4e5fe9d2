import { expectOneOf, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import type { View } from '../../gpu/index.ts'
import { geluBackward } from '../../kernels/gelu.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { activationDType } from '../autocast.ts'
import { expectLast, expectRank, expectTensors, FLOAT32 } from '../checks.ts'
import { halfView } from '../half-copy.ts'
import { DenseParameter } from '../parameter.ts'
import { gradTarget, op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

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
  const [N, K] = weight.shape as [number, number]
  expectWidth(x, weight)
  const M = rowsAndColumns(x)[0]
  if (bias) expectShape('linear: bias', bias, [N])
  const inputs = bias ? [x, weight, bias] : [x, weight]
  return op('linear', x.gpu, inputs, ({ gpu, recording, empty, saved }) => {
    const shape = [...x.shape.slice(0, -1), N]
    const y = empty(shape, activationDType(shape))
    const { storage } = y
    const w = operand(weight)
    const pre = activation && recording ? saved(shape, y.dtype) : undefined
    const product = { a: x.view, b: w.view, c: y.view, bias: bias?.view, M, N, K, layout: 'NT' } as const
    const stored = { a: x.storage, b: w.storage, c: storage }
    matmulKernel(gpu, { ...product, stored, activation, pre: pre?.view })
    return {
      output: y,
      backward: dy => {
        const dpre = pre ? empty(shape, y.dtype) : dy
        if (pre) geluBackward(gpu, { x: pre.view, dy: dy.view, dx: dpre.view, n: y.size, storage })
        const dweight = weight.requiresGrad ? gradTarget(weight) : undefined
        const dbias = bias?.requiresGrad ? gradTarget(bias) : undefined
        // One pass over dy gives both, where both are started or both go on.
        const together = dweight && dbias && dweight.accumulate === dbias.accumulate
        if (dweight) {
          const { view, accumulate } = dweight
          const product = { a: dpre.view, b: x.view, c: view, M: N, N: K, K: M, layout: 'TN' } as const
          const stored = { a: storage, b: x.storage, c: weight.storage }
          matmulKernel(gpu, { ...product, stored, accumulate, sums: together ? dbias.view : undefined })
        }
        if (dbias && !together) {
          const { view, accumulate } = dbias
          columnSum(gpu, { x: dpre.view, out: view, rows: M, C: N, accumulate, storage })
        }
        if (x.requiresGrad) {
          const { view, accumulate } = gradTarget(x)
          const product = { a: dpre.view, b: w.view, c: view, M, N: K, K: N, layout: 'NN' } as const
          const stored = { a: storage, b: w.storage, c: x.storage }
          matmulKernel(gpu, { ...product, stored, accumulate })
        }
        if (pre) dpre.dispose()
        return []
      },
    }
  })
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
function operand(weight: Tensor): { view: View; storage: 'f32' | 'f16' } {
  return weight instanceof DenseParameter && activationDType(weight.shape) === 'f16'
    ? { view: halfView(weight), storage: 'f16' }
    : weight
}
