import { layerNormBackward, layerNorm as layerNormKernel } from '../../kernels/layernorm.ts'
import { gradTarget, op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { expectSame, expectShape, rowsAndColumns } from './shapes.ts'

/**
 * LayerNorm over the last dimension, of x or of x + residual: `torch.nn.functional.layer_norm`. weight and bias are [H].
 * The gradients of weight and bias are written together, so they are both wanted or both not.
 */
export function layerNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { eps = 1e-5, residual }: { eps?: number; residual?: Tensor } = {},
): Tensor {
  const [rows, H] = rowsAndColumns(x)
  expectShape('layerNorm: weight', weight, [H])
  expectShape('layerNorm: bias', bias, [H])
  if (residual) expectSame('layerNorm', x, residual)
  const inputs = residual ? [x, weight, bias, residual] : [x, weight, bias]
  return op('layerNorm', x.gpu, inputs, ({ gpu, empty, saved }) => {
    const y = empty(x.shape)
    const sum = residual ? saved(x.shape) : undefined
    const mean = saved([rows])
    const rstd = saved([rows])
    const fused =
      residual && sum ? { residual: residual.view, sum: sum.view } : { residual: undefined, sum: undefined }
    layerNormKernel(gpu, {
      x: x.view,
      weight: weight.view,
      bias: bias.view,
      y: y.view,
      ...fused,
      mean: mean.view,
      rstd: rstd.view,
      rows,
      H,
      eps,
    })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape)
        const wanted = weight.requiresGrad && bias.requiresGrad
        const unwanted = wanted ? [] : [empty([H]), empty([H])]
        const dweight = wanted ? gradTarget(weight) : { view: unwanted[0]!.view, accumulate: false }
        const dbias = wanted ? gradTarget(bias) : { view: unwanted[1]!.view, accumulate: false }
        layerNormBackward(gpu, {
          dy: dy.view,
          x: (sum ?? x).view,
          weight: weight.view,
          mean: mean.view,
          rstd: rstd.view,
          dx: dx.view,
          dweight: dweight.view,
          dbias: dbias.view,
          rows,
          H,
          accumulate: dweight.accumulate,
        })
        return [
          x.requiresGrad ? dx : undefined,
          undefined,
          undefined,
          residual?.requiresGrad ? dx : undefined,
        ]
      },
    }
  })
}
