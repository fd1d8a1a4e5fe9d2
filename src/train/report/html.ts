// The report as one HTML file that loads nothing: text and tables in place, charts drawn by Chart.js from JSON within.
import { ConfigError } from '../../errors.ts'
import type { RunReport } from './data.ts'
import { listsTable } from './lists-table.ts'
import { type PageData, pageData } from './page-data.ts'
import { STYLE } from './style.ts'
import {
  differencesTable,
  escapeHtml,
  evaluationsTable,
  facts,
  formatDuration,
  METRICS,
  resultsTable,
  settings,
  timeTable,
} from './tables.ts'
import { withTeachers } from './teachers.ts'

/** Scripts that the page carries, as text. */
export interface PageScripts {
  /** Chart.js, the UMD build. */
  chartJs: string
  /** The compiled `page.ts`. */
  page: string
}

/**
 * The page of one or several runs. Whatever stands in the reports is shown as text.
 * @throws ConfigError on no report.
 */
export function reportHtml(reports: readonly RunReport[], { chartJs, page }: PageScripts): string {
  if (!reports.length) throw new ConfigError('a report needs at least one run, got none')
  const runs = distinctNames(reports)
  const evaluated = withTeachers(runs)
  const data = pageData(evaluated)
  const title =
    runs.length === 1 ? `Training report: ${runs[0]!.name}` : `${runs.length} training runs compared`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#results">Skip to the results</a>
<header>
<h1>${escapeHtml(title)}</h1>
<p class="soft">${runs.length === 1 ? escapeHtml(summary(runs[0]!)) : escapeHtml(runs.map(({ name }) => name).join(', '))}</p>
</header>
<main>
<section aria-labelledby="results"><h2 id="results" tabindex="-1">Results</h2>
<div class="card">${resultsTable(evaluated)}</div></section>
${evaluated.length > 1 ? toggles(data) : ''}
${curvesSection(data)}
${listsSection(runs, data)}
${trainingSection(runs, data)}
<section aria-labelledby="time"><h2 id="time">Time</h2>
<div class="card">${figure({ id: 'chart-time', title: 'Where the time went', note: 'Seconds of the whole run by part.', kind: 'time' })}
${timeTable(runs)}</div></section>
<section aria-labelledby="setup"><h2 id="setup">Set-up</h2>
${runs.length > 1 ? `<div class="card">${differencesTable(runs)}</div>` : ''}
${runs.map(report => setup(report, runs.length === 1)).join('\n')}
</section>
</main>
<footer><p>Made by kernelgrad ${escapeHtml([...new Set(runs.map(({ version }) => version))].join(', '))}. Charts: Chart.js, MIT license. Arrow keys move through a chart's points.</p></footer>
<div id="said" class="visually-hidden" aria-live="polite"></div>
<noscript><p class="card">Charts need JavaScript; the tables above hold their figures.</p></noscript>
<script type="application/json" id="data">${JSON.stringify(data).replace(/</g, '\\u003c')}</script>
<script>${inline(chartJs)}</script>
<script type="module">${inline(page)}</script>
</body>
</html>
`
}

/** Script text that cannot end its element, without the map's address, which a page on its own cannot reach. */
const inline = (script: string) =>
  script.replace(/^\/\/# sourceMappingURL=.*$/gm, '').replace(/<(?=\/script|!--)/gi, '\\x3C')

/** Runs of equal names are numbered. */
function distinctNames(reports: readonly RunReport[]): RunReport[] {
  const seen = new Map<string, number>()
  return reports.map(report => {
    const times = (seen.get(report.name) ?? 0) + 1
    seen.set(report.name, times)
    return times === 1 ? report : { ...report, name: `${report.name} (${times})` }
  })
}

const count = (n: number) => n.toLocaleString('en-US')

function summary({ model, rows, steps, epochs, seconds, created }: RunReport): string {
  const parts = [
    `${model.architecture}, ${count(model.parameters)} parameters`,
    `${count(rows.train)} rows, ${count(steps)} steps, ${Number(epochs.toFixed(2))} epochs in ${formatDuration(seconds.total)}`,
    created.slice(0, 16).replace('T', ' '),
  ]
  return parts.join(' · ')
}

interface Figure {
  id: string
  title: string
  /** What is drawn, in a sentence. */
  note: string
  /** What the script draws. */
  kind: string
  /** Name of the log's line, or number of the run. */
  of?: string
  /** Number of the evaluation data whose runs are drawn; all unless given. */
  data?: number
  legend?: string
}

function figure({ id, title, note, kind, of = '', data, legend = '' }: Figure): string {
  return `<figure><figcaption><h3 id="${id}-title">${escapeHtml(title)}</h3><p class="soft" id="${id}-note">${escapeHtml(note)}</p></figcaption>${legend}
<div class="plot"><canvas id="${id}" tabindex="0" role="img" aria-labelledby="${id}-title ${id}-note" data-kind="${kind}" data-of="${escapeHtml(of)}"${data === undefined ? '' : ` data-data="${data}"`}></canvas></div></figure>`
}

/** A chart of evaluations: one for each evaluation data, of the runs that have it. */
function cards(chart: Figure, { runs }: PageData, has: (run: PageData['runs'][number]) => boolean): string {
  const numbers = [...new Set(runs.filter(has).map(({ data }) => data))]
  if (numbers.length < 2) return card(chart)
  return numbers
    .map(data => {
      const names = runs.filter(run => run.data === data).map(({ name }) => name)
      return card({
        ...chart,
        id: `${chart.id}-data-${data}`,
        title: `${chart.title}: ${names.join(', ')}`,
        data,
      })
    })
    .join('\n')
}

const card = (chart: Figure) => `<div class="card">${figure(chart)}</div>`

function toggles({ runs }: PageData): string {
  const boxes = runs.map(
    ({ name }, i) =>
      `<label><input type="checkbox" checked data-run="${i}"><span class="swatch" style="background: var(--run-${i % 8})"></span>${escapeHtml(name)}</label>`,
  )
  return `<fieldset><legend>Runs</legend>${boxes.join('')}</fieldset>`
}

const stroke = (dash: string, text: string) =>
  `<li><svg aria-hidden="true" viewBox="0 0 26 10"><line x1="0" y1="5" x2="26" y2="5" stroke="currentColor" stroke-width="2.5" stroke-dasharray="${dash}"/></svg>${text}</li>`
const block = (look: string, text: string) =>
  `<li><svg aria-hidden="true" viewBox="0 0 26 10"><rect x="1" width="24" height="10" rx="1" ${look}/></svg>${text}</li>`

function curvesSection(page: PageData): string {
  const { runs } = page
  const perData = (chart: Figure) => cards(chart, page, ({ curves }) => curves !== null)
  const drawn = runs.filter(({ curves }) => curves)
  if (!drawn.length) return ''
  const charts = [
    perData({
      id: 'chart-roc',
      title: 'ROC curve',
      note: 'True positive rate over false positive rate. The dotted line is chance.',
      kind: 'roc',
    }),
    perData({
      id: 'chart-pr',
      title: 'Precision-recall curve',
      note: 'Share of clicks among the rows above a threshold, over the share of all clicks found there.',
      kind: 'pr',
    }),
    perData({
      id: 'chart-reliability',
      title: 'Reliability',
      note: 'Share of clicks over mean predicted probability, in ten bins of equal rows. The dotted line is perfect.',
      kind: 'reliability',
    }),
    ...runs.flatMap(({ name, curves }, i) =>
      curves
        ? card({
            id: `chart-histogram-${i}`,
            title: runs.length === 1 ? 'Scores by class' : `Scores by class: ${name}`,
            note: 'Share of each class over the predicted probability; the outermost bars hold what lies beyond.',
            kind: 'histogram',
            of: String(i),
            legend: `<ul class="legend">${block('fill="none" stroke="var(--run-1)" stroke-width="2.5"', 'clicked')}${block('fill="var(--run-0)" opacity="0.5"', 'not clicked')}</ul>`,
          })
        : [],
    ),
  ]
  return `<section aria-labelledby="curves"><h2 id="curves">Evaluation curves</h2><div class="grid">${charts.join('\n')}</div></section>`
}

function listsSection(reports: readonly RunReport[], page: PageData): string {
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
          ? `<ul class="legend">${stroke('', 'learned')}${stroke('5 4', 'true')}</ul>`
          : '',
      }),
    )
  return `<section aria-labelledby="lists"><h2 id="lists">Lists</h2><div class="grid">${charts.join('\n')}</div>
<div class="card">${listsTable(reports)}</div></section>`
}

function trainingSection(reports: readonly RunReport[], page: PageData): string {
  const { runs } = page
  const has = (name: string) => runs.some(({ series }) => name in series)
  const perData = (name: string, chart: Figure) => cards(chart, page, ({ series }) => name in series)
  const charts: string[] = []
  if (has('loss') || has('eval_loss')) {
    charts.push(
      perData('eval_loss', {
        id: 'chart-loss',
        title: 'Loss',
        note: 'Mean cross-entropy over steps.',
        kind: 'loss',
        legend: `<ul class="legend">${has('loss') ? stroke('', 'training') : ''}${has('eval_loss') ? stroke('5 4', 'evaluation') : ''}</ul>`,
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
  line('learning_rate', 'Learning rate', 'Of the first parameter group, over steps.')
  const tables = reports.map(evaluationsTable).filter(Boolean)
  const content = charts.length
    ? `<div class="grid">${charts.join('\n')}</div>`
    : '<p class="card">Nothing was logged on the way: logging_steps and eval_steps were off.</p>'
  return `<section aria-labelledby="training"><h2 id="training">Training</h2>${content}
${tables.map(table => `<div class="card">${table}</div>`).join('\n')}</section>`
}

function setup(report: RunReport, open: boolean): string {
  const { model, rows, steps, epochs, step_kept, adapter, version, created, config, seconds } = report
  const rate = seconds.total > 0 ? (rows.trained ?? rows.train * epochs) / seconds.total : 0
  const about = facts(report.name, [
    ['Model', `${model.architecture}, ${count(model.parameters)} parameters`],
    ['Adapter', adapter.replace(/^adapter: /, '')],
    ['Training rows', count(rows.train)],
    ['Evaluation rows', rows.evaluation === null ? 'none' : count(rows.evaluation)],
    ['Steps', `${count(steps)} (${Number(epochs.toFixed(2))} epochs)`],
    ['Weights kept', `step ${count(step_kept)}`],
    ['Speed', `${rate.toFixed(rate < 10 ? 1 : 0)} training rows/s over the whole run`],
    ['Ended', created],
    ['kernelgrad', version],
  ])
  const all = facts('Configuration', settings(config))
  return `<div class="card">${about}
<details${open ? ' open' : ''}><summary>Configuration</summary>${all}</details></div>`
}
