// What comes of deciding by the scores: rows taken as clicks from a threshold on, and the classes that rows are taken for.
import type { Curves } from '../../metrics/index.ts'
import type { RunReport } from './data.ts'
import { type Column, escapeHtml, formatted, table } from './tables.ts'

const count = (n: number) => n.toLocaleString('en-US')
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

/** Rows of each class. */
function classCounts({ histogram }: Curves): { clicks: number; others: number } {
  return { clicks: sum(histogram.clicks), others: sum(histogram.others) }
}

/** Share of clicked rows: the precision of chance. */
export function baseRate(curves: Curves): number {
  const { clicks, others } = classCounts(curves)
  return clicks / (clicks + others)
}

/** Shares of the rows whose thresholds the table lists. */
const SHARES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]

interface Row {
  at: number
  score: number
  found: number
  wrong: number
}

const f1 = ({ found, wrong }: Row, clicks: number) => (2 * found) / (found + wrong + clicks)

/** The points that the table lists, those about such shares and the best F1, from the highest threshold on. */
function listed(
  { score, clicks, others }: NonNullable<Curves['thresholds']>,
  rows: number,
  all: number,
): Row[] {
  const points = score.map((value, at) => ({ at, score: value, found: clicks[at]!, wrong: others[at]! }))
  const kept = new Set<Row>()
  for (const share of SHARES) {
    const distance = (row: Row) => Math.abs(row.found + row.wrong - share * rows)
    kept.add(points.reduce((a, b) => (distance(b) < distance(a) ? b : a)))
  }
  kept.add(bestOf(points, all))
  return points.filter(point => kept.has(point))
}

const bestOf = (points: readonly Row[], all: number) =>
  points.reduce((a, b) => (f1(b, all) > f1(a, all) ? b : a))

const percent = (x: number) => (Number.isFinite(x) ? `${(100 * x).toFixed(1)} %` : 'n/a')

/**
 * A slider over a run's thresholds with the confusion table of where it stands, and a table of some of them, which needs no script.
 * @param of number of the run.
 */
export function thresholdCard(report: RunReport, of: number, alone: boolean): string {
  const { curves } = report
  const { thresholds } = curves ?? {}
  if (!curves || !thresholds?.score.length) return ''
  const { clicks: all, others } = classCounts(curves)
  const rows = all + others
  const shown = listed(thresholds, rows, all)
  const best = bestOf(shown, all)
  const columns: Column<Row>[] = [
    { title: 'Threshold', cell: ({ score }) => ({ text: score.toPrecision(4) }) },
    {
      title: 'Rows above',
      number: true,
      cell: ({ found, wrong }) => ({ text: `${count(found + wrong)} (${percent((found + wrong) / rows)})` }),
    },
    {
      title: 'Precision',
      number: true,
      cell: ({ found, wrong }) => ({ text: percent(found / (found + wrong)) }),
    },
    { title: 'Recall', number: true, cell: ({ found }) => ({ text: percent(found / all) }) },
    {
      title: 'F1',
      number: true,
      cell: row => ({ text: `${f1(row, all).toFixed(3)}${row === best ? ', highest' : ''}` }),
    },
  ]
  const title = alone ? 'Threshold' : `Threshold: ${report.name}`
  const cell = (name: string) => `<td class="number" data-cell="${name}"></td>`
  return `<div class="card wide" data-threshold="${of}"><h3 id="threshold-${of}-title">${escapeHtml(title)}</h3>
<p class="soft">What comes of taking rows as clicked from a predicted probability on; of the rows, ${percent(all / rows)} are.</p>
<div class="halves"><div class="live" hidden><label>Threshold <output></output><input type="range" min="0" max="${thresholds.score.length - 1}" value="${best.at}" aria-labelledby="threshold-${of}-title"></label>
<div class="scroll"><table class="confusion"><thead><tr><th scope="col">Rows</th><th scope="col" class="number">taken as clicked</th><th scope="col" class="number">taken as not</th></tr></thead><tbody>
<tr><th scope="row">clicked</th>${cell('tp')}${cell('fn')}</tr><tr><th scope="row">not clicked</th>${cell('fp')}${cell('tn')}</tr></tbody></table></div>
<p class="said" aria-live="polite"></p></div>
${table('Some thresholds', columns, shown, 'narrow')}</div></div>`
}

/** Rows by class and by the class they were taken for. */
export function confusionTables(reports: readonly RunReport[]): string {
  return reports
    .flatMap(({ name, confusion }) => {
      if (!confusion) return []
      const most = confusion.map(sum)
      const head = confusion.map((_, c) => `<th scope="col" class="number">${c}</th>`).join('')
      const body = confusion.map((row, c) => {
        const cells = row.map((n, taken) => {
          const share = most[c] ? Math.round((100 * n) / most[c]) : 0
          return `<td class="number${taken === c ? ' right' : ''}" style="--share: ${share}%">${count(n)}</td>`
        })
        return `<tr><th scope="row">${c}</th>${cells.join('')}<td class="number">${count(most[c]!)}</td></tr>`
      })
      const caption = reports.length > 1 ? `Classes: ${name}` : 'Classes'
      return `<div class="card"><h3>${escapeHtml(caption)}</h3><p class="soft">Rows by their class, down, and the class of the highest probability, across; shaded by the share of the row's class.</p>
<div class="scroll"><table class="confusion"><thead><tr><th scope="col">Class</th>${head}<th scope="col" class="number">Rows</th></tr></thead><tbody>${body.join('')}</tbody></table></div></div>`
    })
    .join('\n')
}

/** A figure after a run's name, as legends have it. */
export const named = ({ name, metrics }: RunReport, metric: string, title: string): string =>
  metrics?.[metric] === undefined ? name : `${name}, ${title} ${formatted(metric, metrics[metric])}`
