// The two charts: loss, and area under the curve or accuracy, by training step.
import {
  Chart,
  type ChartDataset,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
} from 'chart.js'
import type { LogEntry } from 'kernelgrad/train'
import { byId } from './dom.ts'

type XY = { x: number; y: number }
type Line = ChartDataset<'line', XY[]>

const DRAW_EVERY_MS = 400
const LINES = [
  { canvas: 'chart-loss', entry: 'loss', label: 'training loss', color: '--run-0' },
  { canvas: 'chart-loss', entry: 'eval_loss', label: 'evaluation loss', color: '--run-1' },
  { canvas: 'chart-auc', entry: 'eval_roc_auc', label: 'ROC AUC', color: '--run-2' },
  { canvas: 'chart-auc', entry: 'eval_pr_auc', label: 'PR AUC', color: '--run-3' },
  // Of more classes than two.
  { canvas: 'chart-auc', entry: 'eval_accuracy', label: 'accuracy', color: '--run-2' },
] as const

Chart.register(LineController, LineElement, PointElement, LinearScale, Tooltip)

export interface Charts {
  /** Shows a whole log, in place of what was there, of a run of so many steps. */
  show(entries: LogEntry[], steps: number): void
  add(entry: LogEntry): void
}

export function createCharts(): Charts {
  const points = new Map<string, XY[]>(LINES.map(({ entry }) => [entry, []]))
  const charts = [...new Set(LINES.map(({ canvas }) => canvas))].map(id => ({ id, chart: draw(id, points) }))
  let waiting = false

  // Drawn a few times a second, one chart in a task, so that no task of the page is long.
  function soon(): void {
    if (waiting) return
    waiting = true
    setTimeout(() => {
      waiting = false
      for (const [i, { id, chart }] of charts.entries())
        setTimeout(() => {
          chart.update('none')
          byId(id).setAttribute('aria-label', describe(id, points))
        }, 30 * i)
    }, DRAW_EVERY_MS)
  }

  function add(entry: LogEntry): void {
    for (const [name, line] of points) {
      const y = entry[name]
      if (y !== undefined && Number.isFinite(y)) line.push({ x: entry.step, y })
    }
    soon()
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const { id, chart } of charts) paint(id, chart)
    soon()
  })
  return {
    add,
    show(entries, steps) {
      for (const { chart } of charts) chart.options.scales!.x!.max = steps
      for (const line of points.values()) line.length = 0
      for (const entry of entries) add(entry)
      soon()
    },
  }
}

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const short = (y: number) => y.toFixed(3)

function draw(id: string, points: Map<string, XY[]>): Chart<'line', XY[]> {
  const datasets = LINES.filter(({ canvas }) => canvas === id).map(
    ({ entry, label }): Line => ({
      label,
      data: points.get(entry)!,
      borderWidth: 2,
      pointRadius: entry === 'loss' ? 0 : 3,
      pointHitRadius: 8,
    }),
  )
  const chart = new Chart<'line', XY[]>(byId<HTMLCanvasElement>(id), {
    type: 'line',
    data: { datasets },
    options: {
      animation: false,
      parsing: false,
      maintainAspectRatio: false,
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      scales: {
        x: {
          type: 'linear',
          min: 0,
          title: { display: true, text: 'Step' },
          ticks: { precision: 0, maxRotation: 0 },
        },
        y: { type: 'linear', ticks: { maxTicksLimit: 6 } },
      },
      plugins: {
        tooltip: {
          callbacks: {
            title: ([item]) => (item ? `step ${item.parsed.x}` : ''),
            label: item => `${item.dataset.label}: ${short(item.parsed.y!)}`,
          },
        },
      },
    },
  })
  paint(id, chart)
  chart.update('none')
  return chart
}

/** Takes the colours from the page's style. */
function paint(id: string, chart: Chart<'line', XY[]>): void {
  const own = LINES.filter(({ canvas }) => canvas === id)
  for (const [i, line] of chart.data.datasets.entries()) {
    line.borderColor = color(own[i]!.color)
    line.backgroundColor = line.borderColor
  }
  for (const axis of [chart.options.scales!.x!, chart.options.scales!.y!])
    Object.assign(axis, {
      ticks: { ...axis.ticks, color: color('--soft') },
      grid: { color: color('--line') },
      border: { color: color('--line') },
    })
  Object.assign(chart.options.scales!.x!, { title: { display: true, text: 'Step', color: color('--soft') } })
}

function describe(id: string, points: Map<string, XY[]>): string {
  const said = LINES.filter(({ canvas }) => canvas === id).flatMap(({ entry, label }) => {
    const line = points.get(entry)!
    const [first, last] = [line[0], line.at(-1)]
    return first && last
      ? [`${label} ${short(first.y)} at step ${first.x}, ${short(last.y)} at step ${last.x}`]
      : []
  })
  return said.join('; ') || 'no values yet'
}
