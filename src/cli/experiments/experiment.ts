// What an experiment on planted rows is: what it trains with a seed, the rows of its table, and what must come of them.
import { formatTable } from '../table.ts'
import type { Bench } from './bench.ts'

/** ROC AUC, or another figure, by row of the table. */
export type Figures = Record<string, number>

/** A row of the table. */
export interface Row {
  /** The figure's name in {@link Figures}. */
  name: string
  title: string
  /** What PyTorch came to, in the mean over its seeds; left out where no such run is recorded. */
  recorded?: number
}

/** What must hold, and whether it does. */
export interface Check {
  /** As a sentence: 'pretrained beats scratch by .05 with 500 labels'. */
  says: string
  pass: boolean
  /** The figures behind it. */
  found: string
}

/** An experiment: the same trainings with several seeds, each of which draws rows of its own. */
export interface Experiment {
  name: string
  title: string
  /** What the table's figures are, 'ROC AUC' unless given. */
  figure?: string
  /** What the recorded figures are of, or that there are none. */
  source: string
  rows: readonly Row[]
  /** Trains everything with one seed; returns the figure of every row. */
  trial(bench: Bench): Promise<Figures>
  /** What must hold of the figures by seed; a quick run has bounds of its own. */
  checks(trials: readonly Figures[], quick: boolean): Check[]
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** Standard deviation over n - 1; 0 of a single value. */
function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0
  const middle = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1))
}

/** A figure's values by seed. */
export const valuesOf = (trials: readonly Figures[], name: string): number[] =>
  trials.map(figures => figures[name]!)

/** By how much one figure is above another, seed by seed. */
export const gaps = (trials: readonly Figures[], above: string, below: string): number[] =>
  trials.map(figures => figures[above]! - figures[below]!)

/** '.123' for less than one, so that columns stay narrow. */
export const short = (value: number): string => value.toFixed(3).replace(/^(-?)0\./, '$1.')

/** 'mean .123 (.110 .136)': a figure over the seeds. */
export const overSeeds = (values: readonly number[]): string =>
  values.length === 1 ? short(values[0]!) : `mean ${short(mean(values))} (${values.map(short).join(' ')})`

/** A check that the mean over the seeds is at least a bound. */
export function atLeast(says: string, values: readonly number[], bound: number): Check {
  return { says, pass: mean(values) >= bound, found: `${overSeeds(values)}, at least ${short(bound)}` }
}

/** A check that the mean over the seeds is at most a bound. */
export function atMost(says: string, values: readonly number[], bound: number): Check {
  return { says, pass: mean(values) <= bound, found: `${overSeeds(values)}, at most ${short(bound)}` }
}

/** A check that every seed's value is one that passes; `found` says of them what there is to say. */
export const inEverySeed = (
  says: string,
  values: readonly number[],
  passes: (value: number) => boolean,
  found: string,
): Check => ({ says: `${says}, in every seed`, pass: values.every(passes), found })

/** The table: mean, spread and every seed, beside what PyTorch came to. */
export function resultTable(
  { rows, figure = 'ROC AUC' }: Pick<Experiment, 'rows' | 'figure'>,
  trials: readonly Figures[],
  seeds: readonly number[],
): string {
  const many = trials.length > 1
  // A quick run leaves rows out.
  const measured = rows.filter(row => trials.every(figures => row.name in figures))
  const recorded = measured.some(row => row.recorded !== undefined)
  const headers = [
    figure,
    ...(many ? ['mean', 'deviation'] : []),
    ...seeds.map(seed => `seed ${seed}`),
    ...(recorded ? ['PyTorch'] : []),
  ]
  return formatTable(
    headers,
    measured.map(row => {
      const values = valuesOf(trials, row.name)
      return [
        row.title,
        ...(many ? [short(mean(values)), short(deviation(values))] : []),
        ...values.map(short),
        ...(recorded ? [row.recorded === undefined ? '-' : short(row.recorded)] : []),
      ]
    }),
  )
}

/** A line for each check. */
export const checkLines = (checks: readonly Check[]): string =>
  checks.map(({ says, pass, found }) => `${pass ? 'pass' : 'FAIL'}  ${says}: ${found}`).join('\n')
