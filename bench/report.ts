// Timed rows to lines: a table for people, a JSON object a row for programs.
import { formatTable } from '../src/cli/table.ts'
import type { Timing } from './measure.ts'
import type { Peaks } from './peaks.ts'
import type { Row } from './row.ts'

/** A timed row. */
export interface Result {
  name: string
  shape: string
  dtype: 'f32'
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
}

export function resultOf(
  { name, shape, flops, bytes }: Pick<Row, 'name' | 'shape' | 'flops' | 'bytes'>,
  { ms, best }: Timing,
  peaks: Peaks,
  variant = 'kernelgrad',
): Result {
  const [gflops, gbps] = [flops / ms / 1e6, bytes / ms / 1e6]
  const share = Math.max(gflops / peaks.gflops, gbps / peaks.gbps)
  return { name, shape, dtype: 'f32', variant, ms, best, gflops, gbps, share }
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  if (value === 0) return '0'
  return value.toFixed(Math.min(Math.max(2 - Math.floor(Math.log10(Math.abs(value))), 0), 6))
}

export function resultTable(results: Result[]): string {
  const headers = ['name', 'shape', 'variant', 'ms', 'best', 'GFLOP/s', 'GB/s', 'of peak']
  const cells = results.map(({ name, shape, variant, ms, best, gflops, gbps, share }) => [
    name,
    shape,
    variant,
    digits(ms),
    digits(best),
    digits(gflops),
    digits(gbps),
    `${(100 * share).toFixed(1)}%`,
  ])
  return formatTable(headers, cells)
}

export function peakLines({ gflops, gbps, emptyMs, submitMs, roundTripMs }: Peaks): string {
  return formatTable(
    ['peak', 'value', 'unit'],
    [
      ['multiply-add', digits(gflops), 'GFLOP/s'],
      ['copy, read + written', digits(gbps), 'GB/s'],
      ['empty launch', digits(emptyMs * 1000), 'µs'],
      ['launch and submit', digits(submitMs * 1000), 'µs'],
      ['launch, submit and wait', digits(roundTripMs * 1000), 'µs'],
    ],
  )
}
