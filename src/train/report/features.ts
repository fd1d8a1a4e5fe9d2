// What a report says of a model's features: how much each matters, and where the model is worse than elsewhere.
import type { Slice, Slices } from '../explain/slices.ts'
import type { RunReport } from './data.ts'
import { breakable, type Column, escapeHtml, formatted, METRICS, table } from './tables.ts'

const count = (n: number) => n.toLocaleString('en-US')
const of = (rows: number, all: number) =>
  rows < all ? `${count(rows)} of ${count(all)}` : `all ${count(rows)}`

/** Of the runs that have some: a card of importance and one of slices each. */
export function featuresSection(reports: readonly RunReport[]): string {
  const cards = reports.flatMap(report => {
    const name = reports.length > 1 ? `: ${report.name}` : ''
    return [importanceCard(report, name), slicesCard(report, name)].filter(Boolean)
  })
  if (!cards.length) return ''
  return `<section aria-labelledby="features"><h2 id="features">Features</h2><div class="grid">${cards.join('\n')}</div></section>`
}

function importanceCard({ importance, lists }: RunReport, name: string): string {
  if (!importance) return ''
  const { figure, base, rows, of: all, repeats, seed, features } = importance
  const title = METRICS[figure]?.title ?? figure
  const most = Math.max(...features.map(({ worse }) => worse), Number.MIN_VALUE)
  const told = (x: number) => (x < 0 ? '−' : '') + formatted(figure, Math.abs(x))
  const body = features.map(({ name, worse, deviation }) => {
    const width = Math.max(0, (100 * worse) / most).toFixed(1)
    const spread = deviation === null ? '' : ` ± ${formatted(figure, deviation)}`
    return `<tr><th scope="row">${breakable(name)}</th><td><span class="bar" style="width: ${width}%"></span></td><td class="number">${told(worse)}${spread}</td></tr>`
  })
  const times = repeats > 1 ? `, ${repeats} times each` : ''
  return `<div class="card"><h3>${escapeHtml(`Importance${name}`)}</h3>
<p class="soft">By how much ${escapeHtml(title)}, ${formatted(figure, base)} here, is worse once a feature's values are dealt out anew among the rows${lists ? ', of whichever list they are' : ''}${times}. ${of(rows, all)} evaluation rows, seed ${seed}.</p>
<div class="scroll"><table class="bars"><thead><tr><th scope="col">Feature</th><th scope="col"><span class="visually-hidden">Bar</span></th><th scope="col" class="number">Worse by</th></tr></thead><tbody>${body.join('')}</tbody></table></div></div>`
}

function slicesCard({ slices }: RunReport, name: string): string {
  if (!slices) return ''
  const { figure, rows, of: all, features, worst } = slices
  const title = METRICS[figure]!.title
  const lists = figure === 'ndcg@10'
  const what = lists
    ? 'nDCG@10 of lists that have a positive, for features that are the same in every whole list'
    : 'Mean log loss of rows'
  const whole = columnsOf(slices)
  const feature: Column<Slices['worst'][number]> = {
    title: 'Feature',
    cell: slice => ({ text: slice.feature }),
  }
  const some = worst.length
    ? table(
        `Worse than all together (${formatted(figure, slices.all.mean)}), the worst first`,
        [feature, ...whole],
        worst,
        'narrow',
      )
    : `<p>No slice of 30 or more is worse than all together (${title} ${formatted(figure, slices.all.mean)}) beyond its interval.</p>`
  const others = features.map(({ name, slices, more }) => {
    const rest = more ? `, the largest ${slices.length} of ${count(slices.length + more)}` : ''
    return `<details><summary>${escapeHtml(name + rest)}</summary>${table(name, whole, slices, 'narrow')}</details>`
  })
  return `<div class="card"><h3>${escapeHtml(`Errors by slice${name}`)}</h3>
<p class="soft">${what}, with the 95% interval of the mean. ${of(rows, all)} evaluation rows.</p>
${some}
${others.join('\n')}</div>`
}

function columnsOf({ figure, all }: Slices): Column<Slice>[] {
  const shown = (x: number | null) => formatted(figure, x)
  return [
    { title: 'Value', cell: ({ value }) => ({ text: value }) },
    {
      title: figure === 'ndcg@10' ? 'Lists' : 'Rows',
      number: true,
      cell: slice => ({ text: count(slice.count) }),
    },
    {
      title: METRICS[figure]!.title!,
      number: true,
      cell: ({ mean, low, high }) => ({
        text: low === null ? shown(mean) : `${shown(mean)} (${shown(low)} to ${shown(high)})`,
      }),
    },
    ...(all.clicks === undefined
      ? []
      : [
          { title: 'Clicked', number: true, cell: ({ clicks = 0 }: Slice) => ({ text: clicks.toFixed(3) }) },
          {
            title: 'Predicted',
            number: true,
            cell: ({ predicted = 0 }: Slice) => ({ text: predicted.toFixed(3) }),
          },
        ]),
  ]
}
