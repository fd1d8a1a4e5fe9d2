import type { Gpu } from '../src/gpu/index.ts'
import { goalOf } from './goals.ts'
import { timeRow } from './measure.ts'
import type { Peaks } from './peaks.ts'
import { jsonLine, type Result, resultOf, resultTable } from './report.ts'
import { FAMILIES } from './rows/index.ts'
import { SIZES, type Size } from './size.ts'

export interface KernelOptions {
  /** Rows whose name contains it. */
  filter?: string
  /** The smallest shapes, one short sample. */
  quick?: boolean
  json?: boolean
  print: (line: string) => void
}

/** Times every kernel family at each of the model's sizes, and prints each family as it is done. */
export async function benchKernels(gpu: Gpu, peaks: Peaks, options: KernelOptions): Promise<Result[]> {
  const { filter = '', quick = false, json = false, print } = options
  const sizes = quick ? [SIZES.quick] : [SIZES.full, SIZES.small, SIZES.tiny]
  const results: Result[] = []
  for (const size of sizes) {
    if (!json) print(`\n${describe(size)}`)
    for (const rowsOf of Object.values(FAMILIES)) {
      const family: Result[] = []
      for (const row of rowsOf(size).filter(row => row.name.includes(filter))) {
        const result = resultOf(
          row,
          await timeRow(gpu, row, quick ? { budget: 1, sample: 0 } : undefined),
          peaks,
          { variant: row.variant, goal: goalOf(row, gpu) },
        )
        family.push(result)
        if (json) print(jsonLine(result))
      }
      if (!json && family.length) print(`\n${resultTable(family)}`)
      results.push(...family)
      gpu.pool.trim()
    }
  }
  return results
}

/** The names of all rows. */
export const kernelNames = (): string[] =>
  Object.values(FAMILIES).flatMap(rowsOf => rowsOf(SIZES.quick).map(({ name }) => name))

const describe = ({ name, B, S, T, H, A, F, mlp }: Size) =>
  `size ${name}: ${B} rows padded to ${S}, ${T} tokens, H ${H}, ${A} heads, feed-forward ${F}, MLP ${mlp.join('-')}`
