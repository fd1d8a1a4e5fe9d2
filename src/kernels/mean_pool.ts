import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/mean_pool.ts'
import workgroupWgsl from '../wgsl/mean_pool_workgroup.ts'
import { expectInside, expectSizes, expectViews, given } from './checks.ts'
import { COLUMN_WG, COLUMN_WGSL } from './groups.ts'
import { type ByWidth, byWidth, formOf, rowLanes, STORAGE_WGSL, type Storage, widthOf } from './width.ts'

const WG = 64
const params = { n: 'u32', H: 'u32', lanes: 'u32', stride: 'u32', column: 'u32' } as const
const kernel = (entry: string, bindings: Access[]) =>
  byWidth(defineKernel({ name: 'mean_pool', wgsl: STORAGE_WGSL + wgsl, entry, params, bindings }))
const MEAN: Access[] = ['read', 'read', 'write', 'read', 'write']
const mean = kernel('mean', MEAN)

const groupMeans = new Map<number, ByWidth<keyof typeof params>>()
/** The mean on GPUs, of so many columns a workgroup. */
function groupMean(COLUMNS: number): typeof mean {
  let found = groupMeans.get(COLUMNS)
  if (!found) {
    found = byWidth(
      defineKernel({
        ...{ name: 'mean_pool', wgsl: STORAGE_WGSL + COLUMN_WGSL + workgroupWgsl, entry: 'mean', params },
        ...{ bindings: MEAN, workgroup: COLUMN_WG, constants: { COLUMNS } },
      }),
    )
    groupMeans.set(COLUMNS, found)
  }
  return found
}
/** Columns that neighbouring invocations have, at most, by width: the others share out the tokens. */
const MOST_COLUMNS = { 1: 32, 4: 16 }
const meanBackward = kernel('mean_backward', ['read', 'read', 'write', 'read', 'read'])
const first = kernel('first', ['read', 'read', 'write'])
const firstBackward = kernel('first_backward', ['read', 'read', 'write', 'read'])

/** Where the pooled rows lie, and how the tokens are stored. */
interface Place {
  stride?: number
  column?: number
  storage?: Storage | undefined
}

/** One invocation per element of [B, H], or, of a mean on a GPU, some. */
function pool(
  gpu: Gpu,
  kernels: typeof mean,
  views: View[],
  B: number,
  H: number,
  { stride = H, column = 0, storage }: Place = {},
): void {
  if (B * H === 0) return
  const width = widthOf(H, stride, column)
  const params = { n: B, H: H / width, lanes: 0, stride: stride / width, column: column / width }
  const form = formOf(storage, H, stride, column)
  if (kernels === mean && gpu.forms.kind === 'hardware') {
    const columns = Math.min(MOST_COLUMNS[width], 2 ** Math.ceil(Math.log2(params.H)))
    gpu.launch(groupMean(columns)[form], params, views, B * Math.ceil(params.H / columns))
    return
  }
  gpu.launch(kernels[form], params, views, Math.ceil((B * H) / width / WG))
}

/** A few invocations per row of [T, H], on a GPU one for each E. */
function spread(
  gpu: Gpu,
  kernels: typeof mean,
  views: View[],
  T: number,
  H: number,
  { stride = H, column = 0, storage }: Place = {},
): void {
  if (T * H === 0) return
  const width = widthOf(H, stride, column)
  const lanes = gpu.forms.kind === 'hardware' ? H / width : rowLanes(H / width)
  const params = { n: T, H: H / width, lanes, stride: stride / width, column: column / width }
  gpu.launch(kernels[formOf(storage, H, stride, column)], params, views, Math.ceil((T * lanes) / WG))
}

/**
 * out[b] = the mean of x[t] over the tokens of packed row b with keyMask 1, and 0 when there are none; counts[b] is how
 * many there are. x: [T, H], out: [B, H], counts: [B] float32; keyMask: [T], cuSeqlens: [B+1] uint32. `storage` says how x lies. With
 * `outWidth`, out
 * is [B, outWidth], and columns `outColumn` … + H - 1 of it are written: the mean need not be copied into the features.
 */
export function meanPool(
  gpu: Gpu,
  options: {
    x: View
    keyMask: View
    cuSeqlens: View
    out: View
    counts: View
    B: number
    H: number
    outWidth?: number
    outColumn?: number
    storage?: Storage
  },
): void {
  const {
    x,
    keyMask,
    cuSeqlens,
    out,
    counts,
    B,
    H,
    outWidth = H,
    outColumn = 0,
    storage,
  } = given('meanPool', gpu, options)
  expectSizes('meanPool', { B, H, outWidth, outColumn })
  expectInside('meanPool', 'outColumn', outColumn + H, outWidth)
  expectViews('meanPool', { cuSeqlens }, B + 1)
  expectViews('meanPool', { out }, B * outWidth)
  expectViews('meanPool', { counts }, B)
  expectViews('meanPool', { x, keyMask }, 0)
  pool(gpu, mean, [x, cuSeqlens, out, keyMask, counts], B, H, {
    stride: outWidth,
    column: outColumn,
    storage,
  })
}

/** dx[t] = dy[b] / counts[b] for a token t with keyMask 1 of row b = rowIds[t], else 0. dy is [B, dyWidth] as out was. */
export function meanPoolBackward(
  gpu: Gpu,
  options: {
    dy: View
    keyMask: View
    rowIds: View
    counts: View
    dx: View
    T: number
    H: number
    dyWidth?: number
    dyColumn?: number
    storage?: Storage
  },
): void {
  const {
    dy,
    keyMask,
    rowIds,
    counts,
    dx,
    T,
    H,
    dyWidth = H,
    dyColumn = 0,
    storage,
  } = given('meanPoolBackward', gpu, options)
  expectSizes('meanPoolBackward', { T, H, dyWidth, dyColumn })
  expectInside('meanPoolBackward', 'dyColumn', dyColumn + H, dyWidth)
  expectViews('meanPoolBackward', { dx }, T * H, storage)
  expectViews('meanPoolBackward', { keyMask, rowIds }, T)
  expectViews('meanPoolBackward', { dy, counts }, 0)
  const place = { stride: dyWidth, column: dyColumn, storage }
  spread(gpu, meanBackward, [dy, rowIds, dx, keyMask, counts], T, H, place)
}

/** out[b] = x[cuSeqlens[b]], the first token of packed row b, and 0 for a row without tokens. x: [T, H], out: [B, H]. */
export function firstToken(
  gpu: Gpu,
  options: { x: View; cuSeqlens: View; out: View; B: number; H: number; storage?: Storage },
): void {
  const { x, cuSeqlens, out, B, H, storage } = given('firstToken', gpu, options)
  expectSizes('firstToken', { B, H })
  expectViews('firstToken', { cuSeqlens }, B + 1)
  expectViews('firstToken', { out }, B * H)
  expectViews('firstToken', { x }, 0)
  pool(gpu, first, [x, cuSeqlens, out], B, H, { storage })
}

/** dx[t] = dy[b] for the first token t of row b = rowIds[t], else 0. dy: [B, H]; dx: [T, H], overwritten. */
export function firstTokenBackward(
  gpu: Gpu,
  options: { dy: View; cuSeqlens: View; rowIds: View; dx: View; T: number; H: number; storage?: Storage },
): void {
  const { dy, cuSeqlens, rowIds, dx, T, H, storage } = given('firstTokenBackward', gpu, options)
  expectSizes('firstTokenBackward', { T, H })
  expectViews('firstTokenBackward', { dx }, T * H, storage)
  expectViews('firstTokenBackward', { rowIds }, T)
  expectViews('firstTokenBackward', { dy, cuSeqlens }, 0)
  spread(gpu, firstBackward, [dy, rowIds, dx, cuSeqlens], T, H, { storage })
}
