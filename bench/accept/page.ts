// What was found out as one page that loads nothing.
import { digits } from '../report.ts'
import type { LaunchRow, StepLaunches } from './launches.ts'
import type { Ended } from './part.ts'
import { PARTS } from './parts.ts'
import type { Acceptance } from './run.ts'
import type { StepRow } from './steps.ts'
import type { Claim, TestFile } from './tests.ts'

const escaped = (text: unknown) =>
  String(text).replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!)

type Cell = string | number | null | undefined

const cell = (value: Cell) =>
  typeof value === 'number'
    ? `<td class="n">${Number.isInteger(value) ? value.toLocaleString('en') : digits(value)}</td>`
    : `<td>${escaped(value ?? '-')}</td>`

function table(headers: string[], rows: Cell[][]): string {
  const head = headers.map(header => `<th>${escaped(header)}</th>`).join('')
  const body = rows.map(row => `<tr>${row.map(cell).join('')}</tr>`).join('\n')
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table>`
}

/** Names and values of an object, those of objects in it as JSON. */
const listed = (result: object) =>
  table(
    ['', ''],
    Object.entries(result).map(([name, value]) => [
      name,
      typeof value === 'object' && value !== null ? JSON.stringify(value) : (value as Cell),
    ]),
  )

const launchRow = ({ name, times, groups, lanes, ms, floorMs, modelMs }: LaunchRow): Cell[] => [
  name,
  times,
  `${groups} x ${lanes}`,
  ms,
  floorMs,
  modelMs,
  ms === null || !floorMs ? null : ms / floorMs,
]

const launchTables = ({ steps }: { steps: StepLaunches[] }) =>
  steps
    .map(({ step, launches, rows, ms, floorMs, modelMs, longest, untimed }) => {
      const sums: Cell[] = ['all', launches, '', ms, floorMs, modelMs, ms === null ? null : ms / floorMs]
      const told = untimed ?? (longest ? `the longest: ${longest.name}, ${digits(longest.ms)} ms` : '')
      const headers = ['kernel', 'times', 'groups x lanes', 'ms', 'floor', 'cost model', 'of the floor']
      return `<h3>${escaped(step)}</h3><p>${escaped(told)}</p>${table(headers, [...rows.map(launchRow), sums])}`
    })
    .join('\n')

const stepTable = ({ rows }: { rows: StepRow[] }) =>
  table(
    ['step', 'ms', 'recording it', 'launches', 'submits', 'start and first step', 'peak MiB', 'last loss'],
    rows.map(row =>
      'error' in row
        ? [row.step, row.error]
        : [
            row.step,
            row.ms,
            row.recordMs,
            row.launches,
            row.submits,
            row.firstMs,
            row.peakBytes / 2 ** 20,
            row.loss.at(-1),
          ],
    ),
  )

const lossTable = (result: {
  steps: number
  of: number
  worst: { early: number; late: number }
  losses: number[]
  expected: number[]
}) => {
  const shown = result.losses.map((_, i) => i).filter(i => i % 20 === 0 || i === result.steps - 1)
  const rows = shown.map(i => [i + 1, result.losses[i], result.expected[i]])
  return `<p>${result.steps} of ${result.of} steps, off by ${result.worst.early.toExponential(2)} of a loss at most, and by ${result.worst.late.toExponential(2)} late</p>${table(['step', 'loss here', 'frozen loss'], rows)}`
}

const compileTable = ({ pipelines }: { pipelines: { step: string; name: string; ms: number }[] }) =>
  table(
    ['step', 'pipeline', 'ms'],
    pipelines.toSorted((a, b) => b.ms - a.ms).map(({ step, name, ms }) => [step, name, ms]),
  )

const testTable = (files: (TestFile & { claim?: string; holds?: boolean })[]) =>
  table(
    ['what', 'passed', 'of', 'failed', 'seconds'],
    files.map(({ claim, file, passed, total, failed, seconds }) => [
      claim ?? file,
      passed,
      total,
      failed.join('; '),
      seconds,
    ]),
  )

const tunedTable = ({
  classes,
}: {
  classes: { shapeClass: string; form: string; ms: number; builtIn: string; builtInMs: number }[]
}) =>
  table(
    ['shapes', 'fastest form', 'ms', 'the table’s form', 'ms'],
    classes.map(({ shapeClass, form, ms, builtIn, builtInMs }) => [shapeClass, form, ms, builtIn, builtInMs]),
  )

/** How each part's result is shown; names and values where nothing stands here. */
const SHOWN: Record<string, (result: never) => string> = {
  launches: launchTables,
  steps: stepTable,
  losses: lossTable,
  compile: compileTable,
  claims: ({ claims }: { claims: Claim[] }) => testTable(claims),
  tests: ({ files }: { files: TestFile[] }) => testTable(files),
  tuned: tunedTable,
}

function section(name: string, { status, seconds, error, result }: Ended): string {
  const what = PARTS.find(part => part.name === name)?.what ?? ''
  const show = (SHOWN[name] ?? listed) as (result: unknown) => string
  return `<section><h2>${escaped(name)}: ${escaped(what)}</h2>
<p class="${status === 'done' ? 'good' : 'bad'}">${status}, ${seconds.toFixed(1)} s</p>
${error ? `<pre>${escaped(error)}</pre>` : ''}${result ? show(result) : ''}</section>`
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.15rem .7rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:#176f2c}.bad{color:#b3261e}pre{white-space:pre-wrap;background:#f4f4f4;padding:.7rem}`

/** The page. */
export function pageOf({ made, quick, parts, problems }: Acceptance): string {
  const adapter = (parts.adapter?.result as { line?: string } | undefined)?.line ?? 'no adapter yet'
  const verdict = problems.length
    ? `<p class="bad">${problems.length} problems</p><ul>${problems.map(problem => `<li>${escaped(problem)}</li>`).join('')}</ul>`
    : '<p class="good">all claims hold</p>'
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>kernelgrad on this adapter</title>
<style>${STYLE}</style></head><body>
<h1>kernelgrad on this adapter</h1><p>${escaped(adapter)}</p><p>${escaped(made)}${quick ? ', a quick run: figures mean nothing' : ''}</p>
${verdict}
${Object.entries(parts)
  .map(([name, ended]) => section(name, ended))
  .join('\n')}
</body></html>
`
}
