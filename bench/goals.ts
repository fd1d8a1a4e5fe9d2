// The share of its peak that a row must reach, where there is a goal.
import type { Gpu } from '../src/gpu/index.ts'
import type { Row } from './row.ts'

/** Square and feed-forward sizes, in every layout. */
export const GOAL_SHAPES = [
  [768, 768, 768],
  [1408, 768, 768],
  [1408, 3072, 768],
] as const

/** Marks the goal shapes among the rows of matmul: the first word of their shape. */
export const GOAL_USE = 'goal'

/** Kernels that do little per byte. Rows of a table that replay steps are not among them: they compute. */
const BANDWIDTH =
  /^(layernorm\.|gelu\.|reduce\.columnSum|dropout\.|optimizer\.\w+\.(dense|rows)$|embedding\.|elementwise\.)/
/** Bytes below which a launch costs more than what it moves. */
const LARGE = 4e6

/** Of the multiply-add peak, by the lanes of a subgroup: lavapipe has 8, SwiftShader 4. GPUs have no goal yet. */
const MATMUL: Record<number, number> = { 4: 0.22, 8: 0.5 }

export function goalOf(
  { name, shape, bytes }: Pick<Row, 'name' | 'shape' | 'bytes'>,
  gpu: Gpu,
): number | null {
  if (name.startsWith('matmul.')) {
    const { subgroupMinSize, subgroupMaxSize } = gpu.adapter.adapter.info
    const lanes = subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0
    return (shape.startsWith(`${GOAL_USE} `) && MATMUL[lanes]) || null
  }
  return BANDWIDTH.test(name) && bytes >= LARGE ? 0.8 : null
}
