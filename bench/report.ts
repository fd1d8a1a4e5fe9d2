// Timed rows to lines: a table for people, a JSON object a row for programs.
import { formatTable } from '../src/cli/table.ts'
import type { Timing } from '../src/testing/index.ts'
import type { Peaks } from './peaks.ts'
import type { Row } from './row.ts'

/** A timed row. */
export interface Result {
  name: string
  shape: string
  dtype: 'f32' | 'f16'
  /** Whose implementation, on what. */
  variant: string
  /** Median of the samples. */
  ms: number
  /** Least of the samples. */
  best: number
  gflops: number
  /** Bytes that have to be moved, over the time. */
  gbps: number
  /** Of the peak that binds the row: the larger of gflops and gbps over their peaks. */
  share: number
  /** The share that the row must reach, where there is a goal. */
  goal: number | null
}

/** A row as a JSON object on one line. */
export function jsonLine({ name, shape, dtype, variant, ms, gflops, gbps, share, goal }: Result): string {
  return JSON.stringify({ name, shape, dtype, variant, ms, gflops, gbps, share, goal })
}

export function resultOf(
  row: Pick<Row, 'name' | 'shape' | 'flops' | 'bytes' | 'dtype'>,
  { ms, best }: Timing,
  peaks: Peaks,
  { variant = 'kernelgrad', goal = null }: { variant?: string | undefined; goal?: number | null } = {},
): Result {
  const { name, shape, flops, bytes, dtype = 'f32' } = row
  const [gflops, gbps] = [flops / ms / 1e6, bytes / ms / 1e6]
  const share = Math.max(gflops / ((dtype === 'f16' && peaks.gflopsF16) || peaks.gflops), gbps / peaks.gbps)
  return { name, shape, dtype, variant, ms, best, gflops, gbps, share, goal }
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  if (value === 0) return '0'
  return value.toFixed(Math.min(Math.max(2 - Math.floor(Math.log10(Math.abs(value))), 0), 6))
}

export function resultTable(results: Result[]): string {
  const headers = ['name', 'shape', 'variant', 'ms', 'best', 'GFLOP/s', 'GB/s', 'of peak', 'goal']
  const cells = results.map(({ name, shape, variant, ms, best, gflops, gbps, share, goal }) => [
    name,
    shape,
    variant,
    digits(ms),
    digits(best),
    digits(gflops),
    digits(gbps),
    `${(100 * share).toFixed(1)}%`,
    goal === null ? '' : `${(100 * goal).toFixed(0)}%${share < goal ? ' missed' : ''}`,
  ])
  return formatTable(headers, cells)
}

export function peakLines(peaks: Peaks): string {
  const { gflops, gflopsF16, gbps, emptyMs, switchMs, submitMs, roundTripMs } = peaks
  return formatTable(
    ['peak', 'value', 'unit'],
    [
      ['multiply-add, f32', digits(gflops), 'GFLOP/s'],
      [
        'multiply-add, f16',
        gflopsF16 === null ? '-' : digits(gflopsF16),
        gflopsF16 === null ? 'no shader-f16' : 'GFLOP/s',
      ],
      ['copy, read + written', digits(gbps), 'GB/s'],
      ['empty launch', digits(emptyMs * 1000), 'µs'],
      ['launch after another pipeline', digits(switchMs * 1000), 'µs'],
      ['launch and submit', digits(submitMs * 1000), 'µs'],
      ['launch, submit and wait', digits(roundTripMs * 1000), 'µs'],
    ],
  )
}
