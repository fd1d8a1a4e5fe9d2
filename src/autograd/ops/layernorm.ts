import { BELOW_ONE, expectNumber, expectOneOf, expectOptions, expectRng, POSITIVE } from '../../check.ts'
import { ConfigError } from '../../errors.ts'
import {
  type FusedDropout,
  layerNormBackward,
  layerNorm as layerNormKernel,
} from '../../kernels/layernorm.ts'
import { expectLast, expectRank, expectTensor, expectTensors, FLOAT32, FLOATS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { GradTarget } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/** What is computed around the normalisation, in the same launch. */
export interface LayerNormOptions {
  /** Added to the variance; 1e-5 unless given. */
  eps?: number
  /** Added to x before the normalisation. */
  residual?: Tensor | undefined
  /** Dropout of x before the residual sum. */
  dropout?: FusedDropout | undefined
  /** What follows the normalisation. */
  activation?: 'relu' | undefined
  /** Dropout of the result, after the activation. */
  outputDropout?: FusedDropout | undefined
}

const OPTIONS = ['eps', 'residual', 'dropout', 'activation', 'outputDropout']

function checkOptions(options: LayerNormOptions): void {
  expectOptions('layerNorm: options', options, OPTIONS)
  expectOneOf('layerNorm: activation', options.activation, ['relu', undefined])
  for (const name of ['dropout', 'outputDropout'] as const) {
    const given = options[name]
    if (given === undefined) continue
    expectOptions(`layerNorm: ${name}`, given, ['p', 'rng'])
    expectNumber(`layerNorm: ${name}.p`, given.p, BELOW_ONE)
    expectRng(`layerNorm: ${name}.rng`, given.rng)
  }
}

const dropping = (given: FusedDropout | undefined) => (given?.p === 0 ? undefined : given)

interface Around {
  eps: number
  activation: 'relu' | undefined
  dropout: FusedDropout | undefined
  outputDropout: FusedDropout | undefined
}

const normalized = defineOp({
  name: 'layerNorm',
  inputs: ['x', 'weight', 'bias', 'residual?'],
  dtypes: { x: ['f32', 'f16'], weight: ['f32'], bias: ['f32'], residual: ['f32', 'f16'] },
  shape: ({ x }, _: Around) => x.shape,
  saved({ x, residual }) {
    const [rows] = rowsAndColumns(x)
    return { 'sum?': residual ? { shape: x.shape, dtype: x.dtype } : undefined, mean: [rows], rstd: [rows] }
  },
  forward(context, { eps, activation, dropout, outputDropout }) {
    const { gpu, x, weight, bias, residual, sum, mean, rstd, out } = context
    const [rows, H] = rowsAndColumns(x)
    layerNormKernel(gpu, {
      x: x.view,
      residual: residual?.view,
      weight: weight.view,
      bias: bias.view,
      y: out.view,
      sum: sum?.view,
      mean: mean.view,
      rstd: rstd.view,
      rows,
      H,
      eps,
      activation,
      dropout,
      outputDropout,
      storage: x.storage,
    } as Parameters<typeof layerNormKernel>[1]) // dropout only with a residual, and one of the two: see below
  },
  backward(context, { activation, dropout, outputDropout }) {
    const { gpu, x, weight, bias, residual, sum, mean, rstd, out, dout, dx, needsInputGrad, into } = context
    const [rows, H] = rowsAndColumns(x)
    const wanted = [
      ...(needsInputGrad.weight ? [[weight, into.weight] as const] : []),
      ...(needsInputGrad.bias ? [[bias, into.bias] as const] : []),
    ]
    const dresidual = dropout && residual ? context.dresidual : undefined
    layerNormBackward(gpu, {
      dy: dout.view,
      x: (sum ?? x).view,
      weight: weight.view,
      mean: mean.view,
      rstd: rstd.view,
      dx: dx.view,
      ...affineTargets(weight, bias, new Map(wanted)),
      rows,
      H,
      y: activation && out.view,
      dropout: dropout && dresidual && { ...dropout, dresidual: dresidual.view },
      outputDropout,
      storage: x.storage,
    })
    return { residual: residual && (dresidual ?? dx) }
  },
})

/**
 * Where the gradients of weight and bias go. One kernel writes both, in one way: where only one is wanted, the other goes to
 * memory that nobody reads; where one is begun and the other is not, that one goes on from zero.
 */
function affineTargets(weight: Tensor, bias: Tensor, targets: Map<Tensor, GradTarget>) {
  if (!targets.size) return {}
  const accumulate = [...targets.values()].some(target => target.accumulate)
  for (const target of targets.values()) if (accumulate && !target.accumulate) weight.gpu.clear(target.view)
  const viewOf = (parameter: Tensor) => (targets.get(parameter) ?? empty(parameter.gpu, parameter.shape)).view
  return { dweight: viewOf(weight), dbias: viewOf(bias), accumulate }
}

/**
 * LayerNorm over the last dimension, of x or of x + residual: `torch.nn.functional.layer_norm`. weight and bias are [H].
 * Dropout and activation are fused: they give what `dropout` and `relu` around it would, under the same rng.
 *
 * @throws ConfigError for `dropout` without a residual, or with `outputDropout`
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, options: LayerNormOptions = {}): Tensor {
  checkOptions(options)
  const { eps = 1e-5, activation } = options
  expectNumber('layerNorm: eps', eps, POSITIVE)
  expectTensor('layerNorm', 'x', x)
  const beside = { name: 'x', gpu: x.gpu }
  expectTensors('layerNorm', { weight, bias }, FLOAT32, beside)
  if (options.residual) expectTensors('layerNorm', { residual: options.residual }, FLOATS, beside)
  const [dropout, outputDropout] = [dropping(options.dropout), dropping(options.outputDropout)]
  const H = rowsAndColumns(x)[1]
  expectRank('layerNorm', 'weight', weight, '[H]', 1)
  expectLast('layerNorm', 'x', x, weight.size, `weight has shape [${weight.shape}]`)
  expectShape('layerNorm: bias', bias, [H])
  if (options.residual) expectShape('layerNorm: residual', options.residual, x.shape)
  if (options.dropout && (!options.residual || options.outputDropout)) {
    const given = options.residual ? 'outputDropout' : 'no residual'
    throw new ConfigError(`layerNorm: dropout with ${given}; expected a residual and no outputDropout`)
  }
  const residual = options.residual && cast(options.residual, x.storage)
  return normalized(x, weight, bias, residual, { eps, activation, dropout, outputDropout })
}
