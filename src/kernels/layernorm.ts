import { expectNumber, expectOneOf, NON_NEGATIVE } from '../check.ts'
import type { Access, Gpu, View } from '../gpu/index.ts'
import { expectOptional, expectSizes, expectViews, given } from './checks.ts'
import { dropout as dropoutKernel, dropoutParams, philoxShifts } from './dropout.ts'
import {
  type FusedDropout,
  layerNormKernel,
  ROWS,
  type Variant,
  layerNormParams as valuesOf,
} from './layernorm-kernels.ts'
import { backwardByGroups, forwardByGroups } from './layernorm-workgroup.ts'
import { finishColumns, rowBlocks } from './reduce.ts'
import { compactFormOf, type Storage } from './width.ts'

export type { FusedDropout } from './layernorm-kernels.ts'

const WG = 16
/** Rows an invocation of backward_blocks takes: lavapipe runs out of first-level cache with more. */
const BLOCK = { hardware: 2, 'system software': 2, 'embedded software': 4 } as const
const BLOCK_WG = 8

const kernel = (entry: string, bindings: Access[], variant: Variant = {}) =>
  layerNormKernel('invocation', entry, bindings, variant.BLOCKS ? BLOCK_WG : WG, variant)

/**
 * y = LayerNorm(x + residual) over the last axis. mean and rstd are kept for the backward pass; with a residual, which
 * takes `sum`, so is x + residual. x, residual, y, sum: [rows, H]; weight, bias: [H]; mean, rstd: [rows]; float32, except
 * that `storage` says how x, residual, y and sum lie.
 * `dropout` drops elements of x before the residual sum, `activation` follows the normalisation and `outputDropout` that:
 * one launch with the results of the separate ones.
 * Source: Ba, Kiros and Hinton 2016; `torch.nn.functional.layer_norm`.
 */
export function layerNorm(
  gpu: Gpu,
  options: {
    x: View
    weight: View
    bias: View
    y: View
    mean: View
    rstd: View
    rows: number
    H: number
    eps: number
    activation?: 'relu' | undefined
    storage?: Storage | undefined
  } & (
    | { residual: View; sum: View; dropout?: FusedDropout | undefined; outputDropout?: undefined }
    | { residual: View; sum: View; dropout?: undefined; outputDropout?: FusedDropout | undefined }
    | { residual?: undefined; sum?: undefined; dropout?: undefined; outputDropout?: FusedDropout | undefined }
  ),
): void {
  const {
    x,
    residual,
    weight,
    bias,
    y,
    sum,
    mean,
    rstd,
    rows,
    H,
    eps,
    dropout,
    activation,
    outputDropout,
    storage,
  } = given('layerNorm', gpu, options)
  expectSizes('layerNorm', { rows, H })
  expectNumber('layerNorm: eps', eps, NON_NEGATIVE)
  expectOneOf('layerNorm: activation', activation, ['relu', undefined])
  expectViews('layerNorm', { x, y }, rows * H, storage)
  expectOptional('layerNorm', { residual, sum }, rows * H, storage)
  expectViews('layerNorm', { weight, bias }, H)
  expectViews('layerNorm', { mean, rstd }, rows)
  if (rows * H === 0) return
  if (gpu.forms.kind === 'hardware') {
    forwardByGroups(gpu, options)
    return
  }
  const rectify = Number(activation === 'relu')
  const form = compactFormOf(gpu, storage, H)
  const values = { ...valuesOf(rows, H, form === 1 ? 1 : 4, dropout ?? outputDropout), eps, rectify }
  const variant = {
    RESIDUAL: Number(residual !== undefined),
    DROP_IN: Number(dropout !== undefined),
    DROP_OUT: Number(outputDropout !== undefined),
    // Beside a dropout it costs nothing to decide at run time, and one pipeline does for both.
    RELU: Number(activation === 'relu' || outputDropout !== undefined),
    SHIFTS: philoxShifts(gpu.forms.kind),
  }
  const bindings: Access[] = ['read', 'read', 'read', 'write', 'write', 'write']
  const views = [x, weight, bias, y, mean, rstd]
  if (residual) {
    bindings.push('read', 'write')
    views.push(residual, sum)
  }
  const groups = Math.ceil(rows / ROWS / WG)
  gpu.launch(kernel('forward', bindings, variant)[form], values, views, groups)
}

/**
 * Gradients of layerNorm with the same options. x is what was normalised (the forward's sum when it had a residual); dx is
 * the gradient of x and of residual alike and is overwritten. With `dropout` they differ: dx is x's, dresidual the other,
 * overwritten too. After an activation, y is the forward's result. dweight and dbias, [H], are overwritten, or added to with
 * `accumulate`; without both, only the rows' gradients are computed. `storage` says how dy, x, y, dx and dresidual lie.
 */
export function layerNormBackward(
  gpu: Gpu,
  options: {
    dy: View
    x: View
    weight: View
    mean: View
    rstd: View
    dx: View
    dweight?: View | undefined
    dbias?: View | undefined
    rows: number
    H: number
    accumulate?: boolean
    y?: View | undefined
    dropout?: (FusedDropout & { dresidual: View }) | undefined
    outputDropout?: FusedDropout | undefined
    storage?: Storage | undefined
    /**
     * Of the kernel: an invocation a row, and a launch each for the sums over rows and columns ('rows') or one for both ('blocks'), or
     * some invocations a row ('groups'); the adapter's unless given.
     */
    form?: 'rows' | 'blocks' | 'groups' | undefined
  },
): void {
  given('layerNormBackward', gpu, options)
  const { dy, x, weight, mean, rstd, dx, dweight, dbias, rows, H, accumulate = false } = options
  const { y, dropout, outputDropout, storage } = options
  expectSizes('layerNormBackward', { rows, H })
  expectOneOf('layerNormBackward: form', options.form, ['rows', 'blocks', 'groups', undefined])
  expectViews('layerNormBackward', { dy, x, dx }, rows * H, storage)
  expectOptional('layerNormBackward', { y }, rows * H, storage)
  expectViews('layerNormBackward', { weight }, H)
  expectOptional('layerNormBackward', { dweight, dbias }, H)
  expectViews('layerNormBackward', { mean, rstd }, rows)
  const n = rows * H
  if (n > 0 && (options.form ?? (gpu.forms.kind === 'hardware' && 'groups')) === 'groups') {
    backwardByGroups(gpu, { ...options, accumulate })
    return
  }
  // Both kernels would draw the mask of the output's dropout: to draw it once, ahead, is faster. After ReLU, y tells it.
  if (outputDropout && !y && n > 0) {
    gpu.scratch(take => {
      const kept = take(n * 4, 'gradient under dropout')
      dropoutKernel(gpu, { x: dy, y: kept, ...outputDropout, n, ...(storage && { storage }) })
      layerNormBackward(gpu, { ...options, dy: kept, outputDropout: undefined })
    })
    return
  }
  if (n === 0) {
    if (!dweight || !dbias) return
    for (const out of [dweight, dbias]) finishColumns(gpu, { partials: dx, out, blocks: 0, C: H, accumulate })
    return
  }
  const widthForm = compactFormOf(gpu, storage, H)
  const width = widthForm === 1 ? 1 : 4
  const gate = dropoutParams(outputDropout?.p ?? 0).scale
  const variant = {
    RELU: Number(y !== undefined),
    DROP_IN: Number(dropout !== undefined),
    SHIFTS: philoxShifts(gpu.forms.kind),
  }
  const row = [dy, x, mean, rstd]
  const after = y ? [y] : []
  const READ_ROW: Access[] = ['read', 'read', 'read', 'read']
  const readAfter: Access[] = after.map(() => 'read')
  const writeDropped: Access[] = dropout ? ['write'] : []
  const [first, last] = dropout ? [dropout.dresidual, [dx]] : [dx, []]
  const summed = dweight && dbias
  // Without the sums there is nothing that a second pass would read again.
  const form = summed ? (options.form ?? formFor(options)) : 'rows'
  const { perBlock, blocks } = form === 'blocks' ? blocksOf(rows, BLOCK[gpu.forms.kind]) : rowBlocks(rows)
  const second = blocks * H
  const values = { ...valuesOf(rows, H, width, dropout), gate, per_block: perBlock, second: second / width }
  gpu.scratch(take => {
    const partials = summed && take(2 * second * 4)
    if (partials && form === 'blocks') {
      const bindings: Access[] = [...READ_ROW, 'read', 'write', 'write', ...readAfter, ...writeDropped]
      const both = kernel('backward_blocks', bindings, { ...variant, BLOCKS: 1, AFTER: 8, BLOCK: perBlock })
      const views = [...row, weight, first, partials, ...after, ...last]
      gpu.launch(both[widthForm], values, views, Math.ceil(blocks / BLOCK_WG))
    } else {
      const backward = kernel(
        'backward',
        [...READ_ROW, 'read', 'write', ...readAfter, ...writeDropped],
        variant,
      )
      const views = [...row, weight, first, ...after, ...last]
      gpu.launch(backward[widthForm], values, views, Math.ceil(rows / ROWS / WG))
      if (!partials) return
      // weight is bound so that y keeps its place; columns does not read it.
      const columns = kernel('columns', [...READ_ROW, 'read', 'write', ...readAfter], { RELU: variant.RELU })
      const given = [...row, weight, partials, ...after]
      gpu.launch(columns[widthForm], values, given, Math.ceil(second / width / WG))
    }
    const finish = kernel('finish', ['read', 'write', 'write'])
    const sums = { ...values, rows: blocks, accumulate: Number(accumulate) }
    gpu.launch(finish[width], sums, [partials, dweight, dbias], Math.ceil(H / width / WG))
  })
}

const blocksOf = (rows: number, perBlock: number) => ({ perBlock, blocks: Math.ceil(rows / perBlock) })

/** One pass for both sums where loads are dear; y and dresidual together would be a binding too many. */
const formFor = ({ y, dropout }: { y?: View | undefined; dropout?: object | undefined }) =>
  y && dropout ? 'rows' : 'blocks'
