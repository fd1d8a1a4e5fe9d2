// The report's text: tables that say in figures what the charts draw, best first.
import { FIGURES } from '../../metrics/figures.ts'
import { type Figure, formatMetrics } from '../../metrics/index.ts'
import { LIST_FIGURES } from '../../metrics/list-evaluation.ts'
import type { Figures, RunReport } from './data.ts'
import { partsOf } from './page-data.ts'
import { dataWarning, runsOfSameData } from './same-data.ts'

/** Text as HTML content or attribute value. */
export const escapeHtml = (text: unknown): string =>
  String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

function orderOf({ loss: _, log_loss: __, ...figures }: Record<string, Figure>): Record<string, Figure> {
  return figures
}

/** The same, with places where a long name may go on in the next line: behind the marks between its words. */
export const breakable = (text: unknown): string => escapeHtml(text).replace(/[._/\\-](?=\w)/g, '$&<wbr>')

/** Figures that have a column and a chart, in the order they are shown. */
export const METRICS = Object.fromEntries(
  // Those of lists first: a ranker's log loss says little of it.
  Object.entries({ ...orderOf(LIST_FIGURES), ...FIGURES } as Record<string, Figure>).flatMap(
    ([name, { title, ...more }]) => (title ? [[name, { title, ...more }]] : []),
  ),
)

/** How far a value is from what the metric should be; less is better, and what does not exist is worst. */
function badness(name: string, value: number | null | undefined): number {
  if (value === null || value === undefined) return Number.POSITIVE_INFINITY
  const { better = 'none', best } = METRICS[name] ?? {}
  if (best !== undefined) return Math.abs(Math.log(value / best))
  return better === 'none' ? 0 : better === 'greater' ? -value : value
}

export const formatted = (name: string, value: number | null | undefined): string =>
  value === undefined ? '' : formatMetrics({ [name]: value })[name]!

/** A column of a table. */
export interface Column<T> {
  title: string
  number?: boolean
  /** Text of a cell, and whether it is the best of its column. */
  cell(row: T): { text: string; best?: boolean }
}

/** A table; on a phone its rows are cards, or it scrolls in its box where it is 'narrow'. */
// Where a table is laid out as cards, some browsers forget that it is a table; the roles say so.
export function table<T>(
  caption: string,
  columns: Column<T>[],
  rows: readonly T[],
  look: 'stack' | 'narrow' = 'stack',
): string {
  const kind = (column: Column<T>) => (column.number ? ' class="number"' : '')
  const head = columns
    .map(column => `<th role="columnheader" scope="col"${kind(column)}>${escapeHtml(column.title)}</th>`)
    .join('')
  const body = rows.map(row => {
    const cells = columns.map((column, i) => {
      const { text, best } = column.cell(row)
      const classes = [column.number ? 'number' : '', text === '' ? 'empty' : ''].filter(Boolean).join(' ')
      const content = best
        ? `<span class="best">${escapeHtml(text)}<span class="visually-hidden"> (best)</span></span>`
        : escapeHtml(text)
      if (i === 0) return `<th role="rowheader" scope="row"><span>${content}</span></th>`
      return `<td role="cell" class="${classes}" data-label="${escapeHtml(column.title)}">${content}</td>`
    })
    return `<tr role="row">${cells.join('')}</tr>`
  })
  return `<div class="scroll"><table class="${look}" role="table"><caption>${escapeHtml(caption)}</caption><thead role="rowgroup"><tr role="row">${head}</tr></thead><tbody role="rowgroup">${body.join('')}</tbody></table></div>`
}

/** Name and value, two columns. */
export function facts(caption: string, rows: Iterable<readonly [string, string]>, look = 'facts'): string {
  const body = [...rows].map(
    ([name, value]) => `<tr><th scope="row">${breakable(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  )
  return `<table class="${look}"><caption>${escapeHtml(caption)}</caption><tbody>${body.join('')}</tbody></table>`
}

/** The metric that runs are ranked by. */
function rankingMetric(runs: readonly (Figures | null)[]): string {
  return Object.keys(METRICS).find(name => runs.some(metrics => metrics && name in metrics)) ?? 'loss'
}

/** Runs by their final figures, best first; a table for each evaluation data there is. */
export function resultsTable(reports: readonly RunReport[]): string {
  const groups = runsOfSameData(reports.filter(({ metrics }) => metrics))
  const warning = dataWarning(reports)
  const note = warning ? `<p><strong>Note:</strong> ${escapeHtml(warning)}.</p>` : ''
  if (groups.length < 2) return note + tableOfResults(reports)
  return note + groups.map(group => tableOfResults(group, group[0]!.name)).join('\n')
}

function tableOfResults(reports: readonly RunReport[], of = ''): string {
  const evaluated = reports.filter(({ metrics }) => metrics)
  if (!evaluated.length) return '<p>Nothing was evaluated: the runs had no evaluation data.</p>'
  const metrics = (report: RunReport) => report.metrics as Figures
  const all = evaluated.map(metrics)
  const names = Object.keys(METRICS).filter(
    name => all.some(metrics => name in metrics) && !(name === 'loss' && all.every(m => 'log_loss' in m)),
  )
  const ranking = rankingMetric(all)
  const sorted = [...evaluated].sort(
    (a, b) => badness(ranking, metrics(a)[ranking]) - badness(ranking, metrics(b)[ranking]),
  )
  if (sorted.length === 1) {
    const only = metrics(sorted[0]!)
    return facts(
      `${of && `${of}: `}Final evaluation, step ${sorted[0]!.step_kept}`,
      names.map(name => [METRICS[name]!.title, formatted(name, only[name])] as const),
    )
  }
  const columns = names.map((name): Column<RunReport> => {
    const best = Math.min(...all.map(metrics => badness(name, metrics[name])))
    return {
      title: METRICS[name]!.title,
      number: true,
      cell: report => ({
        text: formatted(name, metrics(report)[name]),
        best: Number.isFinite(best) && badness(name, metrics(report)[name]) === best,
      }),
    }
  })
  const run: Column<RunReport> = { title: 'Run', cell: ({ name }) => ({ text: name }) }
  return table(`Final evaluation, best ${METRICS[ranking]!.title} first`, [run, ...columns], sorted)
}

const SHOWN_EVALUATIONS = 10

/** The evaluations of one run, best first. */
export function evaluationsTable({ name, log_history }: RunReport): string {
  const evaluations = log_history.filter(entry => 'eval_loss' in entry)
  if (evaluations.length < 2) return ''
  const sorted = [...evaluations].sort((a, b) => badness('loss', a.eval_loss) - badness('loss', b.eval_loss))
  // Of two classes, log_loss says what loss does.
  const binary = evaluations.some(entry => 'eval_log_loss' in entry)
  const ranks = evaluations.some(entry => 'eval_ndcg@10' in entry)
  const names = ranks
    ? ['loss', 'log_loss', 'ndcg@10', 'mrr@10']
    : binary
      ? ['log_loss', 'roc_auc', 'pr_auc', 'normalized_entropy']
      : ['loss', 'accuracy']
  const columns: Column<Figures>[] = [
    { title: 'Step', cell: ({ step }) => ({ text: `step ${step}` }) },
    { title: 'Epoch', number: true, cell: ({ epoch }) => ({ text: epoch?.toFixed(2) ?? '' }) },
    ...names.map(metric => ({
      title: METRICS[metric]!.title,
      number: true,
      cell: (entry: Figures) => ({ text: formatted(metric, entry[`eval_${metric}`]) }),
    })),
  ]
  const more = evaluations.length > SHOWN_EVALUATIONS ? `, the best ${SHOWN_EVALUATIONS}` : ''
  const caption = `${name}: ${evaluations.length} evaluations${more}, lowest loss first`
  return table(caption, columns, sorted.slice(0, SHOWN_EVALUATIONS))
}

/** Seconds as '8.3 s', '3 min 05 s' or '2 h 07 min'. */
export function formatDuration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(Math.round(seconds) / 60)
  const two = (n: number) => String(n).padStart(2, '0')
  if (minutes < 60) return `${minutes} min ${two(Math.round(seconds) % 60)} s`
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
}

/** Where each run's time went, the longest part first. */
export function timeTable(reports: readonly RunReport[]): string {
  const total = (part: string) => reports.reduce((sum, { seconds }) => sum + (partsOf(seconds)[part] ?? 0), 0)
  const parts = [...new Set(reports.flatMap(({ seconds }) => Object.keys(partsOf(seconds))))].sort(
    (a, b) => total(b) - total(a),
  )
  const columns: Column<RunReport>[] = [
    { title: 'Run', cell: ({ name }) => ({ text: name }) },
    { title: 'Total', number: true, cell: ({ seconds }) => ({ text: formatDuration(seconds.total) }) },
    ...parts.map(part => ({
      title: part,
      number: true,
      cell: ({ seconds }: RunReport) => {
        const value = partsOf(seconds)[part]
        if (value === undefined) return { text: '' }
        return { text: `${formatDuration(value)} (${Math.round((100 * value) / seconds.total)} %)` }
      },
    })),
  ]
  return table('Seconds by part', columns, reports)
}

/** A configuration as one line per setting, nested keys joined by dots. */
export function settings(value: unknown, prefix = ''): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[prefix, String(value)]]
  const entries = Object.entries(value)
  if (!entries.length) return [[prefix, Array.isArray(value) ? '[]' : '{}']]
  return entries.flatMap(([key, inner]) => settings(inner, prefix ? `${prefix}.${key}` : key))
}

/** The settings in which runs differ. */
export function differencesTable(reports: readonly RunReport[]): string {
  if (reports.length < 2) return ''
  const all = reports.map(({ config }) => new Map(settings(config)))
  const names = [...new Set(all.flatMap(config => [...config.keys()]))].filter(
    name => new Set(all.map(config => config.get(name))).size > 1,
  )
  if (!names.length) return '<p>All runs have the same settings.</p>'
  const columns: Column<string>[] = [
    { title: 'Setting', cell: name => ({ text: name }) },
    ...reports.map((report, i) => ({
      title: report.name,
      cell: (name: string) => ({ text: all[i]!.get(name) ?? 'not set' }),
    })),
  ]
  return table('Settings that differ', columns, names)
}
