// A chart's place in the page: heading, what is drawn in a sentence, legend, canvas.
import type { PageData } from './page-data.ts'
import { escapeHtml } from './tables.ts'

/** A chart. */
export interface Figure {
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
  /** HTML; of charts by evaluation data, of the runs that have it. */
  legend?: string | ((data?: number) => string)
}

/** A chart and what is said of it. */
export function figure({ id, title, note, kind, of = '', data, legend = '' }: Figure): string {
  const drawn = typeof legend === 'string' ? legend : legend(data)
  return `<figure><figcaption><h3 id="${id}-title">${escapeHtml(title)}</h3><p class="soft" id="${id}-note">${escapeHtml(note)}</p></figcaption>${drawn}
<div class="plot"><canvas id="${id}" tabindex="0" role="img" aria-labelledby="${id}-title ${id}-note" data-kind="${kind}" data-of="${escapeHtml(of)}"${data === undefined ? '' : ` data-data="${data}"`}></canvas></div></figure>`
}

/** A chart of evaluations: one for each evaluation data, of the runs that have it. */
export function cards(
  chart: Figure,
  { runs }: PageData,
  has: (run: PageData['runs'][number]) => boolean,
): string {
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

/** A chart on a card of its own. */
export const card = (chart: Figure) => `<div class="card">${figure(chart)}</div>`

/** An item of a legend: a line. */
export const stroke = (dash: string, text: string) =>
  `<li><svg aria-hidden="true" viewBox="0 0 26 10"><line x1="0" y1="5" x2="26" y2="5" stroke="currentColor" stroke-width="2.5" stroke-dasharray="${dash}"/></svg>${text}</li>`
/** An item of a legend: an area. */
export const block = (look: string, text: string) =>
  `<li><svg aria-hidden="true" viewBox="0 0 26 10"><rect x="1" width="24" height="10" rx="1" ${look}/></svg>${text}</li>`

/** Items of a legend, if there are any. */
export const legendOf = (items: readonly string[]): string =>
  items.length ? `<ul class="legend">${items.join('')}</ul>` : ''

/** An item of a legend: a run by its colour, with a figure of it. */
export const runItem = (i: number, text: string): string =>
  `<li><span class="swatch" style="background: var(--run-${i % 8})"></span>${escapeHtml(text)}</li>`
