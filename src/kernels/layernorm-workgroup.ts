// LayerNorm's launches on GPUs: some invocations a row, and one launch for all of the backward pass, or two where rows are many.
import type { Access, Gpu, View } from '../gpu/index.ts'
import { dropoutBackward, dropoutParams, philoxShifts } from './dropout.ts'
import { COLUMN_WG, columnsOf, type RowGroup, rowGroup, rowGroups, subgroupsOf } from './groups.ts'
import { type FusedDropout, layerNormKernel, layerNormParams } from './layernorm-kernels.ts'
import { formOf, type Storage } from './width.ts'

/** Invocations that fill a large card, and blocks of rows that one launch still adds up quickly. */
const FILL = 32_768
const MOST_BLOCKS = 1024
/** Rows that an invocation adds up a column of while others compute the rows' own gradients: more would last longer than a launch. Of halves twice as many are as many bytes. */
const MOST_IN_TURN = { 1: 32, 4: 32, f16: 64 }

interface Forward {
  x: View
  weight: View
  bias: View
  y: View
  mean: View
  rstd: View
  residual?: View | undefined
  sum?: View | undefined
  rows: number
  H: number
  eps: number
  dropout?: FusedDropout | undefined
  activation?: 'relu' | undefined
  outputDropout?: FusedDropout | undefined
  storage?: Storage | undefined
}

const shares = ({ workgroup: _, ...constants }: RowGroup, gpu: Gpu) => ({
  ...constants,
  SUBGROUPS: subgroupsOf(gpu),
})

/** `layerNorm`, whose options have been checked. */
export function forwardByGroups(gpu: Gpu, options: Forward): void {
  const { x, weight, bias, y, mean, rstd, residual, sum, rows, H, eps } = options
  const { dropout, activation, outputDropout, storage } = options
  const form = formOf(storage, H)
  const width = form === 1 ? 1 : 4
  const group = rowGroup(H / width, width)
  const bindings: Access[] = ['read', 'read', 'read', 'write', 'write', 'write']
  const views = [x, weight, bias, y, mean, rstd]
  if (residual && sum) {
    bindings.push('read', 'write')
    views.push(residual, sum)
  }
  const kernel = layerNormKernel('workgroup', 'forward', bindings, group.workgroup, {
    RESIDUAL: Number(residual !== undefined),
    DROP_IN: Number(dropout !== undefined),
    DROP_OUT: Number(outputDropout !== undefined),
    // As in layernorm.ts, one pipeline does for a dropout with and without.
    RELU: Number(activation === 'relu' || outputDropout !== undefined),
    SHIFTS: philoxShifts(gpu.forms.kind),
    ...shares(group, gpu),
  })
  const rectify = Number(activation === 'relu')
  const values = { ...layerNormParams(rows, H, width, dropout ?? outputDropout), eps, rectify }
  gpu.launch(kernel[form], values, views, rowGroups(rows, group))
}

interface Backward {
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
  accumulate: boolean
  y?: View | undefined
  dropout?: (FusedDropout & { dresidual: View }) | undefined
  outputDropout?: FusedDropout | undefined
  storage?: Storage | undefined
}

/** `layerNormBackward` of at least one value, whose options have been checked. */
export function backwardByGroups(gpu: Gpu, options: Backward): void {
  const { dy, x, weight, mean, rstd, dx, dweight, dbias, rows, H, accumulate } = options
  const { y, dropout, outputDropout, storage } = options
  // y, the sums and both gradients would be a binding too many.
  if (y && dropout && dweight && dbias) {
    const { dresidual, ...drop } = dropout
    backwardByGroups(gpu, { ...options, dx: dresidual, dropout: undefined })
    dropoutBackward(gpu, { dy: dresidual, dx, ...drop, n: rows * H, ...(storage && { storage }) })
    return
  }
  const form = formOf(storage, H)
  const width = form === 1 ? 1 : 4
  const group = rowGroup(H / width, width)
  const sums = dweight && dbias
  const columns = columnsOf(H / width, form)
  const whole =
    sums && rows * columns <= MOST_IN_TURN[form] * group.workgroup ? asOne(dweight, dbias, H) : undefined
  const most = Math.min(MOST_BLOCKS, FILL / group.LANES)
  const perBlock = sums && !whole ? Math.ceil(rows / most) : 1
  const blocks = Math.ceil(rows / perBlock)
  gpu.scratch(take => {
    const partials = sums && !whole && take(2 * blocks * H * 4, 'sums of columns')
    const added = whole || partials || undefined
    const bindings: Access[] = ['read', 'read', 'read', 'read', 'read', 'write']
    const views = [dy, x, mean, rstd, weight, dropout ? dropout.dresidual : dx]
    const more = (view: View | undefined, access: Access) => {
      if (!view) return
      bindings.push(access)
      views.push(view)
    }
    more(added, 'write')
    more(y, 'read')
    more(dropout && dx, 'write')
    const kernel = layerNormKernel(
      'workgroup',
      whole ? 'backward_whole' : 'backward',
      bindings,
      group.workgroup,
      {
        RELU: Number(y !== undefined),
        DROP_IN: Number(dropout !== undefined),
        DROP_OUT: Number(outputDropout !== undefined && y === undefined),
        SHIFTS: philoxShifts(gpu.forms.kind),
        SUMS: Number(added !== undefined && !whole),
        WHOLE: Number(whole !== undefined),
        COLUMNS: columns,
        AFTER: added ? 8 : 7,
        ...shares(group, gpu),
      },
    )
    const gate = y ? dropoutParams(outputDropout?.p ?? 0).scale : 1
    const values = { ...layerNormParams(rows, H, width, dropout ?? outputDropout), gate, per_block: perBlock }
    const groups = rowGroups(blocks, group)
    const accumulates = Number(accumulate)
    if (whole) {
      const second = (dbias!.offset - whole.offset) / 4 / width
      const params = { ...values, accumulate: accumulates, second }
      gpu.launch(kernel[form], params, views, Math.ceil(H / width / columns) + groups)
      return
    }
    gpu.launch(kernel[form], values, views, groups)
    if (!sums || !partials) return
    const COLUMNS = columnsOf((2 * H) / width, width)
    const finish = layerNormKernel('workgroup', 'finish', ['read', 'write', 'write'], COLUMN_WG, { COLUMNS })
    const last = { ...values, rows: blocks, accumulate: accumulates }
    gpu.launch(finish[width], last, [partials, dweight, dbias], Math.ceil((2 * H) / width / COLUMNS))
  })
}

/** Both gradients as one view, where the second lies behind the first in the same memory, as a layer's parameters do. */
function asOne(first: View, second: View, H: number): View | undefined {
  if (first.buffer !== second.buffer || second.offset < first.offset + H * 4) return undefined
  return { buffer: first.buffer, offset: first.offset, size: second.offset + H * 4 - first.offset }
}
