// Sums on GPUs: workgroups of 256 invocations, and few launches.
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/reduce_workgroup.ts'
import { COLUMN_WG, COLUMN_WGSL, columnsOf, GROUP_WGSL, subgroupsOf } from './groups.ts'
import type { GradPart } from './reduce.ts'
import { type ByWidth, byWidth, formOf, STORAGE_WGSL, type Storage, widthOf } from './width.ts'

const WG = 256
/** Values that a workgroup adds up: 256 invocations, four vec4f each. */
const PART = 4096
/** Values that the last workgroup takes at once. */
const FINISH = 16_384
/** Inputs of a launch that takes several. */
const INPUTS = 7
/** Rows that an invocation takes of a column at most. */
const ROWS = 128

function kernels<P extends string>(
  entry: string,
  params: Record<P, 'u32' | 'f32'>,
  bindings: Access[],
  constants: Record<string, number> = {},
) {
  const make = (SUBGROUPS: number) =>
    byWidth(
      defineKernel({
        name: 'reduce',
        wgsl: GROUP_WGSL + STORAGE_WGSL + COLUMN_WGSL + wgsl,
        entry,
        params,
        bindings,
        workgroup: WG,
        constants: { LANES: WG, SUBGROUPS, ...constants },
      }),
    )
  const both = [make(0), make(1)] as const
  return (gpu: Gpu): ByWidth<P> => both[subgroupsOf(gpu)]!
}

const names = (count: number) => Array.from({ length: count }, (_, k) => [`n${k}`, `first${k}`]).flat()
const partKernels = (inputs: number, SQUARE: number) =>
  kernels<string>(
    'part',
    Object.fromEntries(['at', ...names(inputs)].map(name => [name, 'u32' as const])),
    [...new Array<Access>(inputs).fill('read'), 'write'],
    { INPUTS: inputs, SQUARE },
  )
const sumParts = partKernels(1, 0)
const squareParts = partKernels(INPUTS, 1)
const LAST = { n: 'u32', factor: 'f32' } as const
const finishSum = kernels('finish_sum', LAST, ['read', 'write'])
const finishNorm = kernels('finish_norm', LAST, ['read', 'write', 'write'])

const columnKernels = new Map<number, ByWidth<'rows' | 'C' | 'per_block' | 'accumulate'>>()
function columnKernel(COLUMNS: number) {
  let found = columnKernels.get(COLUMNS)
  if (!found) {
    found = byWidth(
      defineKernel({
        name: 'reduce',
        wgsl: GROUP_WGSL + STORAGE_WGSL + COLUMN_WGSL + wgsl,
        entry: 'columns',
        params: { rows: 'u32', C: 'u32', per_block: 'u32', accumulate: 'u32' },
        bindings: ['read', 'write'],
        workgroup: COLUMN_WG,
        constants: { COLUMNS },
      }),
    )
    columnKernels.set(COLUMNS, found)
  }
  return found
}

/** `sum` of at least one value. */
export function sumByGroups(
  gpu: Gpu,
  { x, out, n, factor }: { x: View; out: View; n: number; factor: number },
): void {
  if (n <= FINISH) {
    gpu.launch(finishSum(gpu)[1], { n, factor }, [x, out], 1)
    return
  }
  gpu.scratch(take => {
    const count = Math.ceil(n / PART)
    const partials = take(count * 4, 'partial sums')
    const width = widthOf(n)
    gpu.launch(sumParts(gpu)[width], { at: 0, n0: n / width, first0: 0 }, [x, partials], count)
    gpu.launch(finishSum(gpu)[1], { n: count, factor }, [partials, out], 1)
  })
}

/** `columnSum` of at least one value. */
export function columnSumByGroups(
  gpu: Gpu,
  options: { x: View; out: View; rows: number; C: number; accumulate: boolean; storage: Storage | undefined },
): void {
  const { x, out, rows, C, accumulate, storage } = options
  const width = widthOf(C)
  const form = formOf(storage, C)
  const COLUMNS = columnsOf(C / width, form)
  const blocks = Math.ceil((rows * COLUMNS) / COLUMN_WG / ROWS)
  const kernel = columnKernel(COLUMNS)
  const launch = (
    form: 1 | 4 | 'f16',
    [x, out]: [View, View],
    rows: number,
    blocks: number,
    adds: boolean,
  ) => {
    const params = {
      rows,
      C: C / width,
      per_block: Math.ceil(rows / blocks),
      accumulate: Number(adds),
    }
    gpu.launch(kernel[form], params, [x, out], Math.ceil(C / width / COLUMNS) * blocks)
  }
  if (blocks === 1) {
    launch(form, [x, out], rows, 1, accumulate)
    return
  }
  gpu.scratch(take => {
    const partials = take(blocks * C * 4, 'column sums')
    launch(form, [x, partials], rows, blocks, false)
    launch(width, [partials, out], Math.ceil(rows / Math.ceil(rows / blocks)), 1, accumulate)
  })
}

/**
 * `gradNorm` with its limit, 0 for none. Parts that lie ready go seven to a launch; one that is computed when its turn
 * comes may lie where the one before it lay, and has its launch at once.
 */
export function gradNormByGroups(
  gpu: Gpu,
  {
    parts,
    limit,
    norm,
    coefficient,
  }: {
    parts: readonly GradPart[]
    limit: number
    norm: View
    coefficient: View
  },
): void {
  const total = parts.reduce((count, { n }) => count + Math.ceil(n / PART), 0)
  gpu.scratch(take => {
    const partials = take(total * 4, 'partial sums of squares')
    let at = 0
    const launch = (some: { view: View; n: number }[], width: 1 | 4) => {
      const params: Record<string, number> = { at }
      let groups = 0
      for (let k = 0; k < INPUTS; k++) {
        const n = some[k]?.n ?? 0
        params[`n${k}`] = n / width
        params[`first${k}`] = groups
        groups += Math.ceil(n / PART)
      }
      // Those that are missing have no values; something has to be bound.
      const views = Array.from({ length: INPUTS }, (_, k) => (some[k] ?? some[0]!).view)
      gpu.launch(squareParts(gpu)[width], params, [...views, partials], groups)
      at += groups
    }
    const waiting: Record<1 | 4, { view: View; n: number }[]> = { 1: [], 4: [] }
    for (const { view, n } of parts) {
      if (n === 0) continue
      const width = widthOf(n)
      if (typeof view === 'function') {
        launch([{ view: view(), n }], width)
        continue
      }
      waiting[width].push({ view, n })
      if (waiting[width].length === INPUTS) launch(waiting[width].splice(0), width)
    }
    for (const width of [4, 1] as const) if (waiting[width].length) launch(waiting[width], width)
    gpu.launch(finishNorm(gpu)[1], { n: total, factor: limit }, [partials, norm, coefficient], 1)
  })
}
