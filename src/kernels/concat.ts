import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/concat.ts'
import { byWidth, rowLanes, widthOf } from './width.ts'

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
  {
    source,
    sourceWidth,
    sourceColumn,
    target,
    targetWidth,
    targetColumn,
    width,
    rows,
  }: {
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
  if (rows * width === 0) return
  const by = widthOf(width, sourceWidth, sourceColumn, targetWidth, targetColumn)
  const lanes = rowLanes(width / by)
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
