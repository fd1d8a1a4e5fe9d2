// Runs in the reader's browser, inlined into the page as it was compiled: it may import nothing but types. Draws every canvas of
// the page from the JSON in it, in the colours of the page's style, and again when those or the chosen runs change.
import type { ActiveElement, Chart as ChartClass, ChartConfiguration, ChartDataset } from 'chart.js'
import type { PageData, PageRun } from './page-data.ts'

declare const Chart: typeof ChartClass

type XY = { x: number; y: number }
type Line = ChartDataset<'line', XY[]>
type LineChart = ChartConfiguration<'line', XY[]>
type BarChart = ChartConfiguration<'bar', number[]>

const { runs, rates }: PageData = JSON.parse(document.getElementById('data')!.textContent!)
const charts = new Map<HTMLCanvasElement, ChartClass>()
const hidden = new Set<number>()
/** Number of the evaluation data whose runs are drawn now; all unless set. */
let drawn: number | undefined

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const short = (x: number) => (x === 0 ? '0' : String(Number(x.toPrecision(4))))
const pairs = (xs: number[], ys: number[]): XY[] => xs.map((x, i) => ({ x, y: ys[i]! }))

/** A line per run that is shown and has one. */
function lines(
  pointsOf: (run: PageRun) => XY[] | null | undefined,
  look: Partial<Line> = {},
  suffix = '',
): Line[] {
  return runs.flatMap((run, i) => {
    const apart = drawn !== undefined && run.data !== drawn
    const data = hidden.has(i) || apart ? undefined : pointsOf(run)
    if (!data?.length) return []
    const stroke = color(`--run-${i % 8}`)
    const line: Line = {
      label: run.name + suffix,
      data,
      borderColor: stroke,
      backgroundColor: stroke,
      borderWidth: 2,
      // One evaluation alone makes no line: it is seen as a point.
      pointRadius: data.length <= 30 ? 3 : 0,
      pointHitRadius: 8,
      pointStyle: (['circle', 'rect', 'triangle', 'rectRot'] as const)[i % 4],
    }
    return [{ ...line, ...look }]
  })
}

const seriesLines = (name: string, look: Partial<Line> = {}, suffix = '') =>
  lines(({ series }) => series[name]?.map(([x, y]) => ({ x, y })), look, suffix)

/** The dotted line from (0, 0) to (to, to). */
const diagonal = (to: number, label: string): Line => ({
  label,
  data: [
    { x: 0, y: 0 },
    { x: to, y: to },
  ],
  borderColor: color('--soft'),
  borderWidth: 1.5,
  borderDash: [2, 4],
  pointRadius: 0,
  pointHitRadius: 0,
})

/** The share of clicks, once for each that the drawn runs have. */
function baseRates(): Line[] {
  const shown = runs.filter(
    (run, i) => run.curves && !hidden.has(i) && (drawn === undefined || run.data === drawn),
  )
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const values = shown.map(({ curves }) => {
    const clicks = sum(curves!.histogram.clicks)
    return clicks / (clicks + sum(curves!.histogram.others))
  })
  return [...new Set(values)].map(y => ({
    ...diagonal(1, 'base rate'),
    data: [
      { x: 0, y },
      { x: 1, y },
    ],
  }))
}

interface Axes {
  x: string
  y: string
  /** Both axes run from 0 to this. */
  square?: number
  nearest?: 'x' | 'xy'
}

function lineChart(datasets: Line[], { x, y, square, nearest = 'x' }: Axes): LineChart {
  const range = square ? { min: 0, max: square } : {}
  const axis = (text: string) => ({ type: 'linear' as const, ...range, title: { display: true, text } })
  return {
    type: 'line',
    data: { datasets },
    options: {
      parsing: false,
      interaction: { mode: 'nearest', axis: nearest, intersect: false },
      scales: { x: axis(x), y: axis(y) },
      plugins: {
        tooltip: {
          callbacks: {
            title: ([item]) => (item ? `${x}: ${short(item.parsed.x!)}` : ''),
            label: item => `${item.dataset.label}: ${short(item.parsed.y!)}`,
          },
        },
      },
    },
  }
}

function reliability(): LineChart {
  const points = lines(
    ({ curves }) => curves && pairs(curves.reliability.prob_pred, curves.reliability.prob_true),
  )
  const farthest = Math.max(...points.flatMap(({ data }) => data.flatMap(({ x, y }) => [x, y])), 1e-6)
  // The next round number, so that the axes end on a tick.
  const unit = 10 ** Math.floor(Math.log10(farthest * 1.02))
  const square = Math.min(1, Math.ceil((farthest * 1.02) / unit / 0.5) * 0.5 * unit)
  const axes = { x: 'Mean predicted probability', y: 'Share of clicks', square, nearest: 'xy' as const }
  return lineChart([...points, diagonal(square, 'perfect')], axes)
}

function histogram(run: PageRun): BarChart {
  const { edges, clicks, others } = run.curves!.histogram
  const share = (counts: number[]) => {
    const sum = counts.reduce((a, b) => a + b, 0)
    return counts.map(count => (sum ? (100 * count) / sum : 0))
  }
  const bars = { grouped: false, barPercentage: 1, categoryPercentage: 1 }
  const [fill, outline] = [color('--run-0'), color('--run-1')]
  return {
    type: 'bar',
    data: {
      labels: clicks.map((_, i) => `${short(edges[i]!)} to ${short(edges[i + 1]!)}`),
      datasets: [
        // Outlined over filled, so that the classes are told apart without their colours.
        {
          ...bars,
          label: 'clicked',
          data: share(clicks),
          backgroundColor: 'transparent',
          borderColor: outline,
          borderWidth: { top: 2.5, left: 1, right: 1, bottom: 0 },
          order: 0,
        },
        { ...bars, label: 'not clicked', data: share(others), backgroundColor: `${fill}80`, order: 1 },
      ],
    },
    options: {
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: {
          grid: { display: false },
          ticks: {
            maxRotation: 0,
            autoSkipPadding: 24,
            callback: (_, i) => String(Number(edges[i]!.toPrecision(2))),
          },
          title: { display: true, text: 'Predicted probability' },
        },
        y: { title: { display: true, text: '% of the class' }, beginAtZero: true },
      },
      plugins: {
        tooltip: { callbacks: { label: item => `${item.dataset.label}: ${short(item.parsed.y!)} %` } },
      },
    },
  }
}

/** The runs that are shown and took time: a teacher beside its student was not trained here. */
const timed = () => runs.filter(({ seconds }, i) => !hidden.has(i) && Object.keys(seconds).length)

function time(): BarChart {
  const shown = timed()
  const total = (part: string) => runs.reduce((sum, { seconds }) => sum + (seconds[part] ?? 0), 0)
  const parts = [...new Set(runs.flatMap(({ seconds }) => Object.keys(seconds)))].sort(
    (a, b) => total(b) - total(a),
  )
  return {
    type: 'bar',
    data: {
      labels: shown.map(({ name }) => (name.length > 16 ? `${name.slice(0, 15)}…` : name)),
      datasets: parts.map((part, i) => ({
        label: part,
        data: shown.map(({ seconds }) => seconds[part] ?? 0),
        backgroundColor: color(`--part-${i % 8}`),
        borderColor: color('--card'),
        borderWidth: 1,
      })),
    },
    options: {
      indexAxis: 'y',
      interaction: { mode: 'nearest', intersect: true },
      scales: {
        x: { stacked: true, title: { display: true, text: 'Seconds' } },
        y: { stacked: true, grid: { display: false } },
      },
      plugins: {
        legend: { display: true, position: 'bottom', labels: { boxWidth: 14, boxHeight: 14 } },
        tooltip: { callbacks: { label: item => `${item.dataset.label}: ${short(item.parsed.x!)} s` } },
      },
    },
  }
}

/** Values by rank, from 1. */
const byRank = (values: (number | null)[]) => values.flatMap((y, i) => (y === null ? [] : [{ x: i + 1, y }]))

const dashed: Partial<Line> = { borderDash: [5, 4] }

function configuration({ dataset: { kind, of = '', data } }: HTMLCanvasElement): LineChart | BarChart {
  drawn = data === undefined ? undefined : Number(data)
  switch (kind) {
    case 'roc':
      return lineChart(
        [
          ...lines(({ curves }) => curves && pairs(curves.roc.fpr, curves.roc.tpr), { pointRadius: 0 }),
          diagonal(1, 'chance'),
        ],
        {
          x: 'False positive rate',
          y: 'True positive rate',
          square: 1,
          nearest: 'xy',
        },
      )
    case 'pr':
      return lineChart(
        [
          ...lines(
            ({ curves }) =>
              curves && pairs(curves.precision_recall.recall, curves.precision_recall.precision),
            {
              pointRadius: 0,
              // As average precision counts: a threshold's precision holds for the recall that it adds.
              stepped: 'after',
            },
          ),
          ...baseRates(),
        ],
        { x: 'Recall', y: 'Precision', square: 1 },
      )
    case 'ndcg':
      return lineChart(
        lines(({ lists }) => lists && byRank(lists.ndcg)),
        { x: 'Rank k', y: 'nDCG@k' },
      )
    case 'propensities':
      return lineChart(
        [
          ...lines(({ lists }) => lists?.propensities && byRank(lists.propensities.learned)),
          ...lines(
            ({ lists }) => lists?.propensities?.truth && byRank(lists.propensities.truth),
            dashed,
            ', true',
          ),
        ],
        { x: 'Place', y: 'Looked at, beside the first' },
      )
    case 'reliability':
      return reliability()
    case 'histogram':
      return histogram(runs[Number(of)]!)
    case 'time':
      return time()
    case 'loss':
      return lineChart(
        [
          ...seriesLines('loss', { pointRadius: 0 }, ', training'),
          ...seriesLines('eval_loss', dashed, ', evaluation'),
        ],
        { x: 'Step', y: 'Loss' },
      )
    case 'rates':
      return lineChart(
        rates.flatMap(({ name, title, dash }) =>
          seriesLines(name, { borderDash: dash, pointRadius: 0 }, rates.length > 1 ? `, ${title}` : ''),
        ),
        { x: 'Step', y: '' },
      )
    default:
      return lineChart(seriesLines(of), { x: 'Step', y: '' })
  }
}

function draw(canvas: HTMLCanvasElement): void {
  charts.get(canvas)?.destroy()
  const { kind, of } = canvas.dataset
  if (kind === 'histogram') canvas.closest<HTMLElement>('.card')!.hidden = hidden.has(Number(of))
  if (kind === 'time') canvas.parentElement!.style.height = `${110 + 42 * timed().length}px`
  charts.set(canvas, new Chart(canvas, configuration(canvas) as ChartConfiguration))
}

/** The confusion table at a slider's threshold. */
function decide(card: HTMLElement): void {
  const { curves } = runs[Number(card.dataset.threshold)]!
  const { score, clicks, others } = curves!.thresholds!
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const [all, rest] = [sum(curves!.histogram.clicks), sum(curves!.histogram.others)]
  const slider = card.querySelector('input')!
  const at = Number(slider.value)
  const [tp, fp] = [clicks[at]!, others[at]!]
  const cells = { tp, fp, fn: all - tp, tn: rest - fp }
  for (const [name, value] of Object.entries(cells))
    card.querySelector(`[data-cell="${name}"]`)!.textContent = value.toLocaleString('en-US')
  const percent = (x: number) => `${(100 * x).toFixed(1)} %`
  const told = score[at]!.toPrecision(4)
  card.querySelector('output')!.textContent = told
  slider.setAttribute('aria-valuetext', told)
  card.querySelector('.said')!.textContent =
    `${percent((tp + fp) / (all + rest))} of the rows: precision ${percent(tp / (tp + fp))}, recall ${all ? percent(tp / all) : 'n/a'}, F1 ${((2 * tp) / (tp + fp + all)).toFixed(3)}`
}

function drawAll(): void {
  for (const card of document.querySelectorAll<HTMLElement>('[data-threshold]'))
    card.hidden = hidden.has(Number(card.dataset.threshold))
  Chart.defaults.color = color('--soft')
  Chart.defaults.borderColor = color('--line')
  for (const canvas of document.querySelectorAll('canvas')) draw(canvas)
}

/** Moves the tooltip with the arrow keys, and says aloud what it shows. */
function move(event: KeyboardEvent): void {
  const chart = charts.get(event.currentTarget as HTMLCanvasElement)
  const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0
  const across = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0
  if (!chart || !(along || across)) return
  event.preventDefault()
  const [active] = chart.getActiveElements()
  const count = chart.data.datasets.length
  const datasetIndex = ((active?.datasetIndex ?? 0) + across + count) % count
  const last = (chart.data.datasets[datasetIndex]?.data.length ?? 0) - 1
  const index = Math.min(Math.max(active ? active.index + along : 0, 0), last)
  const element = chart.getDatasetMeta(datasetIndex).data[index]
  if (!element) return
  const chosen: ActiveElement[] = [{ datasetIndex, index, element }]
  chart.setActiveElements(chosen)
  chart.tooltip!.setActiveElements(chosen, { x: element.x, y: element.y })
  chart.update('none')
  const { title, body } = chart.tooltip!
  document.getElementById('said')!.textContent = [...title, ...body.flatMap(({ lines }) => lines)].join(', ')
}

Object.assign(Chart.defaults, { animation: false, responsive: true, maintainAspectRatio: false })
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily
Chart.defaults.plugins.legend.display = false
drawAll()
for (const canvas of document.querySelectorAll('canvas')) {
  canvas.addEventListener('keydown', move)
  canvas.addEventListener('blur', () => {
    const chart = charts.get(canvas)!
    chart.setActiveElements([])
    chart.tooltip!.setActiveElements([], { x: 0, y: 0 })
    chart.update('none')
  })
}
for (const card of document.querySelectorAll<HTMLElement>('[data-threshold]')) {
  card.querySelector<HTMLElement>('.live')!.hidden = false
  card.querySelector('input')!.addEventListener('input', () => decide(card))
  decide(card)
}
for (const box of document.querySelectorAll<HTMLInputElement>('input[data-run]')) {
  box.addEventListener('change', () => {
    const run = Number(box.dataset.run)
    if (box.checked) hidden.delete(run)
    else hidden.add(run)
    drawAll()
  })
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll)
