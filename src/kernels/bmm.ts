// Products of many matrices; one product alone is matmul.ts's.
import { expectOneOf } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/bmm.ts'
import { rowsForForms } from './batch-forms.ts'
import { expectSizes, expectView, given } from './checks.ts'
import { matmul, OFF } from './matmul.ts'
import { batchedForm, type MatmulShape, matmulForms, tilesOf } from './matmul-forms.ts'
import { batchedKernel, NOTHING, sumKernel } from './matmul-kernels.ts'
import { broadcastShapes, broadcastStrides, numel } from './strides.ts'

const WG = 64
const [ROWS, COLUMNS] = [4, 8] // of a tile
const MOST_DIMENSIONS = 8
/** Multiply-adds of one product from which a launch of its own pays. */
const LARGE = 1 << 18

const kernels = new Map<string, Kernel>()

/**
 * c = a b for every batch, all float32: c [...batches, M, N], overwritten. A layout's letters say whether a is [M, K] or transposed, [K, M],
 * and b [K, N] or transposed, [N, K]. The batches of a and b are broadcast to `batches`. Source: `torch.matmul`.
 */
export function bmm(
  gpu: Gpu,
  options: {
    a: View
    b: View
    c: View
    M: number
    N: number
    K: number
    layout: 'NN' | 'NT' | 'TN'
    batches: readonly number[]
    aBatches: readonly number[]
    bBatches: readonly number[]
  },
): void {
  const { a, b, c, M, N, K, layout, batches, aBatches, bBatches } = given('bmm', gpu, options)
  const count = numel(batches)
  expectSizes('bmm', { M, N, K })
  expectOneOf('bmm: layout', layout, ['NN', 'NT', 'TN'])
  if (broadcastShapes('bmm: batches', [aBatches, bBatches, batches]).join() !== batches.join())
    throw new ShapeError(`bmm: batches [${aBatches}] and [${bBatches}] do not broadcast to [${batches}]`)
  if (count * M * N === 0) return
  expectView('bmm', 'a', a, numel(aBatches) * M * K)
  expectView('bmm', 'b', b, numel(bBatches) * K * N)
  expectView('bmm', 'c', c, count * M * N)
  if (K === 0) {
    gpu.clear({ ...c, size: count * M * N * 4 })
    return
  }
  if (batches.length > MOST_DIMENSIONS)
    throw new ShapeError(`matmul: batches [${batches}] have more than ${MOST_DIMENSIONS} dimensions`)
  const [aSteps, bSteps] = [aBatches, bBatches].map(own => broadcastStrides(own, batches))
  const rank = Math.max(batches.length, 1)
  const steps: Record<string, number> = { batches: count }
  for (let d = 0; d < rank; d++) {
    const at = rank - 1 - d
    steps[`d${d}`] = batches[at] ?? 1
    steps[`a_step${d}`] = (aSteps![at] ?? 0) * M * K
    steps[`b_step${d}`] = (bSteps![at] ?? 0) * K * N
  }
  const tiled =
    gpu.forms.kind === 'hardware'
      ? batchedForm(gpu.forms, { M, N, K, count: rowsForForms(count) })
      : undefined
  if (tiled) {
    byTiles(gpu, tiled, { a, b, c, M, N, K, layout }, steps, rank)
    return
  }
  if (M * N * K >= LARGE && [M * K, K * N, M * N].every(size => size % 64 === 0)) {
    each(batches, (z, index) => {
      const at = (view: View, steps: readonly number[] | undefined, size: number) => {
        const matrix = steps ? steps.reduce((sum, step, d) => sum + step * index[d]!, 0) : z
        return { buffer: view.buffer, offset: view.offset + matrix * size * 4, size: size * 4 }
      }
      const one = { a: at(a, aSteps, M * K), b: at(b, bSteps, K * N), c: at(c, undefined, M * N) }
      matmul(gpu, { ...one, M, N, K, layout })
    })
    return
  }
  const fours = N % 4 === 0
  const [aRow, aColumn] = layout === 'TN' ? [1, M] : [K, 1]
  const [bRow, bColumn] = layout === 'NT' ? [1, K] : [N, 1]
  const B_N4 = Number(fours && bColumn === 1)
  const params: Record<string, number> = {
    M,
    N,
    K,
    batches: count,
    a_m: aRow,
    a_k: aColumn,
    b_k: bRow,
    b_n: bColumn,
    ...steps,
  }
  const constants = { RANK: rank, B_N4, C_N4: Number(fours) }
  const key = JSON.stringify(constants)
  let kernel = kernels.get(key)
  if (!kernel) {
    kernel = defineKernel({
      name: 'bmm',
      wgsl,
      entry: 'main',
      params: Object.fromEntries(Object.keys(params).map(name => [name, 'u32' as const])),
      bindings: ['read', 'read', 'write'],
      constants,
    })
    kernels.set(key, kernel)
  }
  const tiles = Math.ceil(M / ROWS) * Math.ceil(N / COLUMNS) * count
  gpu.launch(kernel, params, [a, b, c], Math.ceil(tiles / WG), M * N * K * count)
}

/** On GPUs: each matrix by tiles through workgroup memory, all in one launch, and another where K is cut into parts. */
function byTiles(
  gpu: Gpu,
  { name, splits }: { name: string; splits: number },
  { a, b, c, ...shape }: MatmulShape & { a: View; b: View; c: View },
  steps: Record<string, number>,
  rank: number,
): void {
  const { M, N, K } = shape
  const count = steps.batches!
  const form = matmulForms[name]!
  const kernel = batchedKernel(form, shape, rank)
  const groups = tilesOf(form, M, N) * count * splits
  const launch = (to: View) =>
    gpu.launch(kernel, { ...OFF, M, N, K, splits, ...steps }, [a, b, to, a, a], groups, M * N * K * count)
  if (splits === 1) {
    launch(c)
    return
  }
  gpu.scratch(take => {
    const parts = take(M * N * count * splits * 4, 'bmm parts')
    launch(parts)
    const rows = M * count
    const values = { ...OFF, M: rows, N, K, splits }
    const sums = Math.ceil((rows * Math.ceil(N / 4)) / WG)
    gpu.launch(sumKernel(N, NOTHING, {}), values, [parts, parts, c, parts, parts], sums, rows * N * splits)
  })
}

/** Every index of a shape, with its number. */
function each(shape: readonly number[], visit: (z: number, index: number[]) => void): void {
  const count = numel(shape)
  for (let z = 0; z < count; z++) {
    const index: number[] = []
    for (let [d, rest] = [shape.length - 1, z]; d >= 0; d--) {
      index.unshift(rest % shape[d]!)
      rest = Math.floor(rest / shape[d]!)
    }
    visit(z, index)
  }
}
