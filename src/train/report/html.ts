// The report as one HTML file that loads nothing: text and tables in place, charts drawn by Chart.js from JSON within.
import { ConfigError } from '../../errors.ts'
import type { RunReport } from './data.ts'
import { featuresSection } from './features.ts'
import { figure } from './figures.ts'
import { type PageData, pageData } from './page-data.ts'
import { curvesSection, listsSection, trainingSection } from './sections.ts'
import { STYLE } from './style.ts'
import {
  differencesTable,
  escapeHtml,
  facts,
  formatDuration,
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
${curvesSection(evaluated, data)}
${listsSection(runs, data)}
${featuresSection(runs)}
${trainingSection(runs, data)}
<section aria-labelledby="time"><h2 id="time">Time</h2>
<div class="card">${figure({ id: 'chart-time', title: 'Where the time went', note: 'Seconds of the whole run by part.', kind: 'time' })}
${timeTable(runs)}</div></section>
<section aria-labelledby="setup"><h2 id="setup">Set-up</h2>
${runs.length > 1 ? `<div class="card">${differencesTable(runs)}</div>` : ''}
${runs.map(setup).join('\n')}
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

function toggles({ runs }: PageData): string {
  const boxes = runs.map(
    ({ name }, i) =>
      `<label><input type="checkbox" checked data-run="${i}"><span class="swatch" style="background: var(--run-${i % 8})"></span>${escapeHtml(name)}</label>`,
  )
  return `<fieldset><legend>Runs</legend>${boxes.join('')}</fieldset>`
}

function setup(report: RunReport): string {
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
  const all = facts('Configuration', settings(config), 'facts settings')
  return `<div class="card">${about}
<details><summary>Configuration</summary>${all}</details></div>`
}
