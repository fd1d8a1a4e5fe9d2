import { shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/concat.ts'
import { expectInside, expectSizes, expectView, expectViews, given } from './checks.ts'
import { type ByWidth, byWidth, rowLanes, widthOf } from './width.ts'

const WG = 64
const copy = byWidth(
  defineKernel({
    name: 'concat',
    wgsl,
    entry: 'copy',
    params: {
      rows: 'u32',
      width: 'u32',
      lanes: 'u32',
      source_width: 'u32',
      source_column: 'u32',
      target_width: 'u32',
      target_column: 'u32',
    },
    bindings: ['read', 'write'],
  }),
)

/**
 * target[r, targetColumn + c] = source[r, sourceColumn + c] for c below `width`; nothing else in target is touched.
 * Concatenation is one call per part, and so is its backward. source: [rows, sourceWidth], target: [rows, targetWidth].
 */
export function copyColumns(
  gpu: Gpu,
  options: {
    source: View
    sourceWidth: number
    sourceColumn: number
    target: View
    targetWidth: number
    targetColumn: number
    width: number
    rows: number
  },
): void {
  const { source, sourceWidth, sourceColumn, target, targetWidth, targetColumn, width, rows } = given(
    'copyColumns',
    gpu,
    options,
  )
  expectSizes('copyColumns', { sourceWidth, sourceColumn, targetWidth, targetColumn, width, rows })
  expectInside('copyColumns', 'sourceColumn', sourceColumn + width, sourceWidth)
  expectInside('copyColumns', 'targetColumn', targetColumn + width, targetWidth)
  if (rows * width === 0) return
  expectViews('copyColumns', { source }, rows * sourceWidth)
  expectViews('copyColumns', { target }, rows * targetWidth)
  const by = widthOf(width, sourceWidth, sourceColumn, targetWidth, targetColumn)
  const lanes = rowLanes(width / by, gpu)
  const params = {
    rows,
    width: width / by,
    lanes,
    source_width: sourceWidth / by,
    source_column: sourceColumn / by,
    target_width: targetWidth / by,
    target_column: targetColumn / by,
  }
  gpu.launch(copy[by], params, [source, target], Math.ceil((rows * lanes) / WG))
}

/** A matrix [rows, width] that is, or becomes, columns `column` to `column` + width - 1 of a wider one. */
export interface Columns {
  /** [rows, width] float32. */
  view: View
  /** Number of columns. */
  width: number
  /** Its first column in the wider matrix. */
  column: number
}

/** Parts one launch takes: with the whole matrix, the 8 storage buffers that WebGPU's default limits allow. */
const PARTS = 7
const RANGES = Array.from({ length: PARTS }, (_, k) => [`start${k}`, `end${k}`] as const).flat()
const made = new Map<string, ByWidth<string>>()

function jointKernel(entry: 'join' | 'split', parts: number): ByWidth<string> {
  const key = `${entry} ${parts}`
  let found = made.get(key)
  if (!found) {
    const [whole, part]: Access[] = entry === 'join' ? ['write', 'read'] : ['read', 'write']
    const names = ['rows', 'whole_width', 'first', 'last', ...RANGES]
    found = byWidth(
      defineKernel({
        name: 'concat',
        wgsl,
        entry,
        params: Object.fromEntries(names.map(name => [name, 'u32'])) as Record<string, 'u32'>,
        bindings: [whole!, ...new Array<Access>(parts).fill(part!)],
        constants: { PARTS: parts },
      }),
    )
    made.set(key, found)
  }
  return found
}

/** Launches `entry` over the parts, seven at a time. */
function moveParts(
  gpu: Gpu,
  entry: 'join' | 'split',
  { whole, wholeWidth, parts, rows }: { whole: View; wholeWidth: number; parts: Columns[]; rows: number },
): void {
  const filled = rows > 0 ? parts.filter(({ width }) => width > 0) : []
  for (let from = 0; from < filled.length; from += PARTS) {
    const some = filled.slice(from, from + PARTS)
    const by = widthOf(wholeWidth, ...some.flatMap(({ width, column }) => [width, column]))
    const first = Math.min(...some.map(({ column }) => column)) / by
    const last = Math.max(...some.map(({ column, width }) => column + width)) / by
    const params: Record<string, number> = { rows, whole_width: wholeWidth / by, first, last }
    for (let k = 0; k < PARTS; k++) {
      const { column = 0, width = 0 } = some[k] ?? {}
      params[`start${k}`] = column / by
      params[`end${k}`] = (column + width) / by
    }
    const views = [whole, ...some.map(({ view }) => view)]
    const grid = [Math.ceil((last - first) / WG), Math.min(Math.ceil(rows / 8), 65535), 1] as [
      number,
      number,
      number,
    ]
    gpu.launch(jointKernel(entry, some.length)[by], params, views, grid)
  }
}

function checkColumns(op: string, parts: readonly Columns[], width: number, rows: number): void {
  expectSizes(op, { rows, 'matrix width': width })
  if (!Array.isArray(parts)) throw new ArgumentError(`${op}: parts is ${shown(parts)}, expected an array`)
  for (const [i, part] of (parts as Columns[]).entries()) {
    if (typeof part !== 'object' || part === null)
      throw new ArgumentError(`${op}: parts[${i}] is ${shown(part)}, expected { view, width, column }`)
    expectSizes(`${op}: parts[${i}]`, { width: part.width, column: part.column })
    expectInside(op, `parts[${i}]: column`, part.column + part.width, width)
    expectView(op, `parts[${i}].view`, part.view, rows * part.width)
  }
}

/** target[r, column + c] = part[r, c] for every part; other columns stay as they are. target: [rows, targetWidth] float32. */
export function joinColumns(
  gpu: Gpu,
  options: { parts: Columns[]; target: View; targetWidth: number; rows: number },
): void {
  given('joinColumns', gpu, options)
  const { parts, target, targetWidth, rows } = options
  checkColumns('joinColumns', parts, targetWidth, rows)
  expectViews('joinColumns', { target }, rows * targetWidth)
  moveParts(gpu, 'join', { whole: target, wholeWidth: targetWidth, parts, rows })
}

/** part[r, c] = source[r, column + c] for every part, which is overwritten. source: [rows, sourceWidth] float32. */
export function splitColumns(
  gpu: Gpu,
  options: { parts: Columns[]; source: View; sourceWidth: number; rows: number },
): void {
  given('splitColumns', gpu, options)
  const { parts, source, sourceWidth, rows } = options
  checkColumns('splitColumns', parts, sourceWidth, rows)
  expectViews('splitColumns', { source }, rows * sourceWidth)
  moveParts(gpu, 'split', { whole: source, wholeWidth: sourceWidth, parts, rows })
}
