// Figures compare only where they are of the same rows.
import type { RunReport } from './data.ts'

/** What tells a run's evaluation data from other data; of older reports, the number of rows alone is known. */
function dataOf({ evaluation_data: files, rows }: RunReport): string {
  return files?.length
    ? JSON.stringify(files.map(({ rows, sha256 }) => [rows, sha256]))
    : `${rows.evaluation} rows`
}

/** For each run, the number of the evaluation data it has: runs of the same number compare. */
export function dataNumbers(reports: readonly RunReport[]): number[] {
  const seen: string[] = []
  return reports.map(report => {
    const data = dataOf(report)
    if (!seen.includes(data)) seen.push(data)
    return seen.indexOf(data)
  })
}

/** The evaluated runs, those of the same evaluation data together. */
export function runsOfSameData(reports: readonly RunReport[]): RunReport[][] {
  const evaluated = reports.filter(({ rows }) => rows.evaluation !== null)
  const numbers = dataNumbers(evaluated)
  return [...new Set(numbers)].map(number => evaluated.filter((_, i) => numbers[i] === number))
}

/** What a reader should know before comparing the figures of several runs; nothing where all is well. @internal */
export function dataWarning(reports: readonly RunReport[]): string | undefined {
  const groups = runsOfSameData(reports)
  const of = (runs: readonly RunReport[]) => runs.map(({ name }) => name).join(', ')
  if (groups.length > 1)
    return `the runs were evaluated on different data, so their figures do not compare (${groups.map(of).join(' | ')})`
  const unknown = (groups[0] ?? []).filter(({ evaluation_data: files }) => !files?.length)
  if (reports.length > 1 && unknown.length)
    return `whether the runs were evaluated on the same data is not noted in the report of ${of(unknown)}; the number of rows is the same`
  return undefined
}
