// The sections of the page that have charts, for what the runs have.
import type { RunReport } from './data.ts'
import { baseRate, confusionTables, named, thresholdCard } from './decisions.ts'
import { block, card, cards, type Figure, legendOf, runItem, stroke } from './figures.ts'
import { listsTable } from './lists-table.ts'
import { type PageData, RATE_DASHES, rateNames, rateTitle } from './page-data.ts'
import { evaluationsTable, METRICS } from './tables.ts'

/** ROC, precision and recall, reliability, scores by class. */
export function curvesSection(reports: readonly RunReport[], page: PageData): string {
  const { runs } = page
  const perData = (chart: Figure) => cards(chart, page, ({ curves }) => curves !== null)
  const drawn = runs.filter(({ curves }) => curves)
  const alone = runs.length === 1
  const confusion = confusionTables(reports)
  if (!drawn.length) return confusion && section(confusion)
  /** The runs with curves, each with its area, and the dotted line. */
  const legend = (metric: string, title: string, dotted: (data?: number) => string) => (data?: number) =>
    legendOf([
      ...runs.flatMap((run, i) =>
        run.curves && (data === undefined || run.data === data)
          ? runItem(i, named(reports[i]!, metric, title))
          : [],
      ),
      stroke('2 4', dotted(data)),
    ])
  const rates = (data?: number) =>
    new Set(
      drawn
        .filter(run => data === undefined || run.data === data)
        .map(({ curves }) => baseRate(curves!).toPrecision(3)),
    )
  const charts = [
    perData({
      id: 'chart-roc',
      title: 'ROC curve',
      note: 'True positive rate over false positive rate.',
      kind: 'roc',
      legend: legend('roc_auc', 'AUC', () => 'chance, AUC 0.500'),
    }),
    perData({
      id: 'chart-pr',
      title: 'Precision-recall curve',
      note: 'Share of clicks among the rows above a threshold, over the share of all clicks found there.',
      kind: 'pr',
      legend: legend('pr_auc', 'AUC', data => `base rate ${[...rates(data)].join(', ')}`),
    }),
    perData({
      id: 'chart-reliability',
      title: 'Reliability',
      note: 'Share of clicks over mean predicted probability, in ten bins of equal rows.',
      kind: 'reliability',
      legend: legend('expected_calibration_error', 'error', () => 'perfect'),
    }),
    ...runs.flatMap(({ name, curves }, i) =>
      curves
        ? card({
            id: `chart-histogram-${i}`,
            title: alone ? 'Scores by class' : `Scores by class: ${name}`,
            note: 'Share of each class over the predicted probability; the outermost bars hold what lies beyond.',
            kind: 'histogram',
            of: String(i),
            legend: legendOf([
              block('fill="none" stroke="var(--run-1)" stroke-width="2.5"', 'clicked'),
              block('fill="var(--run-0)" opacity="0.5"', 'not clicked'),
            ]),
          })
        : [],
    ),
    ...reports.map((report, i) => thresholdCard(report, i, alone)),
  ]
  return section(`<div class="grid">${charts.join('\n')}</div>${confusion}`)
}

const section = (content: string) =>
  `<section aria-labelledby="curves"><h2 id="curves">Evaluation curves</h2>${content}</section>`

/** How lists are ordered. */
export function listsSection(reports: readonly RunReport[], page: PageData): string {
  const { runs } = page
  if (!runs.some(({ lists }) => lists)) return ''
  const charts = [
    cards(
      {
        id: 'chart-ndcg',
        title: 'nDCG by rank',
        note: 'nDCG@k over k; lists without positives are left out.',
        kind: 'ndcg',
      },
      page,
      ({ lists }) => lists !== undefined,
    ),
  ]
  const places = runs.flatMap(({ lists }) => lists?.propensities ?? [])
  if (places.length)
    charts.push(
      card({
        id: 'chart-propensities',
        title: 'Places',
        note: 'How much a place is looked at beside the first, as the model learned it.',
        kind: 'propensities',
        legend: places.some(({ truth }) => truth)
          ? legendOf([stroke('', 'learned'), stroke('5 4', 'true')])
          : '',
      }),
    )
  return `<section aria-labelledby="lists"><h2 id="lists">Lists</h2><div class="grid">${charts.join('\n')}</div>
<div class="card">${listsTable(reports)}</div></section>`
}

/** Lines over steps. */
export function trainingSection(reports: readonly RunReport[], page: PageData): string {
  const { runs } = page
  const has = (name: string) => runs.some(({ series }) => name in series)
  const perData = (name: string, chart: Figure) => cards(chart, page, ({ series }) => name in series)
  const charts: string[] = []
  if (has('loss') || has('eval_loss')) {
    charts.push(
      perData('eval_loss', {
        id: 'chart-loss',
        title: 'Loss',
        note: 'Over steps: of training the mean since the point before, and of the evaluation data.',
        kind: 'loss',
        legend: legendOf([
          ...(has('loss') ? [stroke('', 'training')] : []),
          ...(has('eval_loss') ? [stroke('5 4', 'evaluation')] : []),
        ]),
      }),
    )
  }
  const line = (name: string, title: string, note: string) =>
    has(name) &&
    charts.push(
      (name.startsWith('eval_') ? (chart: Figure) => perData(name, chart) : card)({
        id: `chart-${name}`,
        title,
        note,
        kind: 'line',
        of: name,
      }),
    )
  for (const [name, { title }] of Object.entries(METRICS))
    if (name !== 'loss') line(`eval_${name}`, title, 'On the evaluation data, over steps.')
  line('grad_norm', 'Gradient norm', 'Before clipping, over steps.')
  if (has('learning_rate')) charts.push(card(ratesFigure(runs)))
  const tables = reports.map(evaluationsTable).filter(Boolean)
  const content = charts.length
    ? `<div class="grid">${charts.join('\n')}</div>`
    : '<p class="card">Nothing was logged on the way: logging_steps and eval_steps were off.</p>'
  return `<section aria-labelledby="training"><h2 id="training">Training</h2>${content}
${tables.map(table => `<div class="card">${table}</div>`).join('\n')}</section>`
}

/** The rates of all parameter groups that have one of their own. */
function ratesFigure(runs: PageData['runs']): Figure {
  const names = [...new Set(runs.flatMap(({ series }) => rateNames(series)))]
  const items = names.map((name, i) =>
    stroke(RATE_DASHES[i % RATE_DASHES.length]!.join(' '), rateTitle(name)),
  )
  return {
    id: 'chart-learning_rate',
    title: 'Learning rate',
    note: names.length > 1 ? 'By kind of parameters, over steps.' : 'Over steps.',
    kind: 'rates',
    legend: names.length > 1 ? legendOf(items) : '',
  }
}
