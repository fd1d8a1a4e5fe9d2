// What the page's script gets: each run's lines, thin enough to draw.

import { thinned } from '../../metrics/curves.ts'
import type { Curves } from '../../metrics/index.ts'
import type { Figures, RunReport } from './data.ts'
import { dataNumbers } from './same-data.ts'

/** Stretches of steps that a line of the log is thinned to; four points of each are kept at most. */
const LOG_STRETCHES = 200

export interface PageRun {
  name: string
  /** Number of its evaluation data: figures of other data are drawn apart. */
  data: number
  /** Lines over steps, by the log's names: points [step, value]. */
  series: Record<string, [number, number][]>
  curves: Curves | null
  /** nDCG@k, and what is said of places. */
  lists?: RunReport['lists']
  /** Seconds by part. */
  seconds: Record<string, number>
}

export interface PageData {
  runs: PageRun[]
  /** Looks of the lines of rates, by the order of their names. */
  rates: { name: string; title: string; dash: number[] }[]
}

/** Dashes that tell the rates of a run's groups apart. */
export const RATE_DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [10, 3, 2, 3]]
const RATE = 'learning_rate'

/** The lines of a run's rates: those by group where there are some. */
export function rateNames(series: Readonly<Record<string, unknown>>): string[] {
  const own = Object.keys(series).filter(name => name.startsWith(`${RATE}_`))
  return own.length ? own : RATE in series ? [RATE] : []
}

/** 'encoder' of 'learning_rate_encoder'. */
export const rateTitle = (name: string): string =>
  name === RATE ? 'all' : name.slice(RATE.length + 1).replaceAll('_', ' ')

export function pageData(reports: readonly RunReport[]): PageData {
  const data = dataNumbers(reports)
  const runs = reports.map(({ name, log_history, curves, lists, seconds }, i) => ({
    name,
    data: data[i]!,
    series: seriesOf(log_history),
    curves,
    ...(lists ? { lists } : {}),
    seconds: partsOf(seconds),
  }))
  const names = [...new Set(runs.flatMap(({ series }) => rateNames(series)))]
  const rates = names.map((name, i) => ({
    name,
    title: rateTitle(name),
    dash: [...RATE_DASHES[i % RATE_DASHES.length]!],
  }))
  return { runs, rates }
}

/** The parts, and what they leave of the total; parts of less than a thousandth are too small to see or count. */
export function partsOf({ total, parts }: RunReport['seconds']): Record<string, number> {
  const known = Object.values(parts).reduce((sum, part) => sum + part, 0)
  const all = Object.entries({ ...parts, other: total - known })
  return Object.fromEntries(all.filter(([, seconds]) => seconds > total / 1000))
}

function seriesOf(log: readonly Figures[]): PageRun['series'] {
  const lastStep = log.reduce((last, entry) => Math.max(last, entry.step ?? 0), 1)
  const lines = new Map<string, ReturnType<typeof thinned>>()
  for (const { step, epoch: _, ...entry } of log) {
    if (step === null || step === undefined) continue
    for (const [name, value] of Object.entries(entry)) {
      if (value === null) continue
      if (!lines.has(name)) lines.set(name, thinned(lastStep, LOG_STRETCHES))
      lines.get(name)!.add(step, value)
    }
  }
  return Object.fromEntries([...lines].map(([name, line]) => [name, line.points()]))
}
