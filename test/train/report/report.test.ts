// Reports as data and as text; how the page looks in a browser is seen in browser.test.ts.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError } from '../../../src/errors.ts'
import {
  parseRunReport,
  type RunReport,
  readRunReport,
  reportHtml,
  writeRunReport,
} from '../../../src/train/index.ts'
import { pageData } from '../../../src/train/report/page-data.ts'
import { formatDuration, settings } from '../../../src/train/report/tables.ts'
import { sampleReport } from '../../support/sample-report.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-report-'))
test.after(() => rmSync(folder, { recursive: true }))

const SCRIPTS = { chartJs: 'const a = "</script><!-- "', page: 'x()\n//# sourceMappingURL=page.js.map\n' }
const html = (...reports: RunReport[]) => reportHtml(reports, SCRIPTS)
const sample = sampleReport('text_tabular', 0.9)

/** The texts of table cells, tags and all their attributes taken off. */
const text = (page: string) => page.replace(/<(style|script)[\s\S]*?<\/\1>/g, '').replace(/<[^>]*>/g, '|')

test('a report comes back from disk as it was', async () => {
  await writeRunReport(folder, sample)
  assert.equal(readdirSync(folder).sort(), ['report.html', 'report.json'])
  assert.equal(await readRunReport(folder), sample)
  assert.equal(await readRunReport(join(folder, 'report.json')), sample)
  const page = readFileSync(join(folder, 'report.html'), 'utf8')
  assert.match(page, /Chart\.js v4[\s\S]*Released under the MIT License/)
  assert.not.match(page, /(src|href)="(?!#)/, 'nothing is loaded')
  assert.not.match(page, /^\/\/# sourceMappingURL/m)
})

test('figures that do not exist are null, and shown so', () => {
  const metrics = { log_loss: 0.25, roc_auc: Number.NaN, pr_auc: 0 }
  const report = JSON.parse(JSON.stringify({ ...sample, metrics })) as RunReport
  assert.is(parseRunReport(report, 'x').metrics!.roc_auc, null)
  assert.match(text(html(report)), /\|ROC AUC\|+n\/a\|+PR AUC\|+0\.000\|/)
})

test('legends have areas, the base rate and what decides; tables of features stand for charts', () => {
  const page = html(sample)
  assert.match(page, /text_tabular, AUC 0\.\d{3}<\/li>.*chance, AUC 0\.500/)
  const { clicks, others } = sample.curves!.histogram
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const rate = (sum(clicks) / (sum(clicks) + sum(others))).toPrecision(3)
  assert.ok(page.includes(`base rate ${rate}`))
  const { thresholds: _, ...old } = sample.curves!
  assert.not.match(html({ ...sample, curves: old }), /data-threshold="/)
  const table = /<caption>Some thresholds[\s\S]*?<\/table>/.exec(page)![0]
  const { score, clicks: found, others: wrong } = sample.curves!.thresholds!
  for (const [, shown, above] of table.matchAll(
    /rowheader" scope="row"><span>([\d.e-]+)<.*?data-label="Rows above">([\d,]+) \(/g,
  )) {
    const at = score.findIndex(value => value.toPrecision(4) === shown)
    assert.is(Number(above!.replaceAll(',', '')), found[at]! + wrong[at]!)
  }
  assert.is(table.match(/highest/g)!.length, 1)
  // Folded, and its keys break between words alone.
  assert.not.match(page, /<details open/)
  assert.match(page, /pretrained_<wbr>model_<wbr>config\.<wbr>vocab_<wbr>size/)
})

test('classes, importance and slices come back from disk, and are shown', () => {
  const slice = (value: string, mean: number) => ({
    value,
    count: 40,
    mean,
    low: mean - 0.1,
    high: mean + 0.1,
  })
  const report: RunReport = {
    ...sample,
    confusion: [
      [8, 1, 1],
      [0, 5, 0],
      [2, 0, 3],
    ],
    importance: {
      ...{ figure: 'roc_auc', base: 0.75, rows: 300, of: 6000, repeats: 2, seed: 7 },
      features: [
        { name: 'city <b>', worse: 0.2, deviation: 0.01 },
        { name: 'noise', worse: -0.001, deviation: null },
      ],
    },
    slices: {
      ...{ figure: 'log_loss', rows: 6000, of: 6000, all: slice('all', 0.3) },
      features: [{ name: 'city', slices: [slice('<i>Oslo', 0.5)], more: 3 }],
      worst: [{ feature: 'city', ...slice('<i>Oslo', 0.5) }],
    },
  }
  assert.equal(parseRunReport(JSON.parse(JSON.stringify(report)), 'x'), report)
  const page = html(report)
  assert.not.match(page, /<b>|<i>/)
  const shown = text(page)
  for (const part of [
    /300 of 6,000 evaluation rows, seed 7/,
    /city &#60;b&#62;\|+0\.200 ± 0\.010/,
    /noise\|+−0\.001/,
    /Worse than all together \(0\.300\), the worst first/,
    /0\.500 \(0\.400 to 0\.600\)/,
    /city, the largest 1 of 4/,
    /Class\|+0\|+1\|+2\|+Rows\|+0\|+8\|+1\|+1\|+10/,
  ])
    assert.match(shown, part)
  assert.not.match(shown, /of whichever list/)
  // A teacher has none of its own.
  const taught = html({
    ...report,
    teachers: [{ teacher: 't', metrics: sample.metrics!, curves: sample.curves }],
  })
  assert.is(taught.match(/<h3>Importance/g)!.length, 1)
  assert.is(taught.match(/<h3>Classes/g)!.length, 1)
})

test('runs stand best first, and each best figure is marked', () => {
  const runs = [0.2, 0.9, 0.5].map((skill, i) => {
    const report = sampleReport(`run ${i}`, skill)
    return {
      ...report,
      metrics: { log_loss: 1 - skill / 10, roc_auc: 0.5 + skill / 10, calibration_ratio: 1 + skill },
    }
  })
  const table = /<table[^>]*><caption>Final evaluation, best ROC AUC first[\s\S]*?<\/table>/.exec(
    html(...runs),
  )![0]
  const rows = [...table.matchAll(/<th role="rowheader"[^>]*><span>(.*?)<\/span>/g)].map(([, name]) => name)
  assert.equal(rows, ['run 1', 'run 2', 'run 0'])
  const best = [...table.matchAll(/data-label="([^"]*)"><span class="best">([\d.]+)/g)].map(m => [m[1], m[2]])
  assert.equal(best, [
    ['ROC AUC', '0.590'],
    ['Log loss', '0.910'],
    ['Predicted / actual clicks', '1.200'],
  ])
})

test('a teacher stands beside its students, once, in the results and the curves, and nowhere else', () => {
  const teacher = sampleReport('runs/teacher', 0.95)
  const teachers = [{ teacher: 'runs/teacher', metrics: teacher.metrics!, curves: teacher.curves }]
  const taught = { ...sample, teachers }
  assert.equal(parseRunReport(taught, 'x').teachers, teachers)
  const students = [taught, { ...sampleReport('other', 0.5), teachers }]
  for (const [runs, names] of [
    [[taught], ['teacher runs/teacher', 'text_tabular']],
    [students, ['teacher runs/teacher', 'text_tabular', 'other']],
  ] as const) {
    const page = html(...runs)
    const table = /<table[^>]*><caption>Final evaluation, best ROC AUC first[\s\S]*?<\/table>/.exec(page)![0]
    assert.equal(
      [...table.matchAll(/<th role="rowheader"[^>]*><span>(.*?)<\/span>/g)].map(([, name]) => name).sort(),
      [...names].sort(),
    )
    const data = JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/.exec(page)![1]!)
    assert.is(data.runs.length, names.length)
    const drawn = data.runs.find(({ name }: { name: string }) => name === 'teacher runs/teacher')
    assert.equal(drawn.curves, teacher.curves)
    assert.equal([drawn.series, drawn.seconds], [{}, {}])
    const rest = page.slice(page.indexOf('id="time"'), page.indexOf('<footer>'))
    assert.not.match(rest.replace(/<details[\s\S]*?<\/details>/g, ''), /runs\/teacher/)
  }
})

test('evaluations are listed from the lowest loss on', () => {
  const table = /<caption>text_tabular: 4 evaluations, lowest loss first[\s\S]*?<\/table>/.exec(
    html(sample),
  )![0]
  const losses = [...table.matchAll(/data-label="Log loss">([\d.]+)/g)].map(([, value]) => Number(value))
  assert.is(losses.length, 4)
  assert.equal(losses, [...losses].sort())
})

test('what stands in a report is text, never markup', () => {
  const evil = '</script><img src=x onerror=alert(1)>"\'&'
  const report = { ...sample, name: evil, adapter: evil, config: { [evil]: evil }, version: evil }
  const page = html(report, { ...report })
  assert.not.match(page, /<img/)
  assert.is(page.match(/<\/script>/g)!.length, 3)
  assert.is(page.match(/<script/g)!.length, 3)
  const data = JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/.exec(page)![1]!)
  assert.equal(
    data.runs.map((run: { name: string }) => run.name),
    [evil, `${evil} (2)`],
  )
})

test('settings that differ are told apart', () => {
  const page = text(html(sampleReport('a', 0.3), sampleReport('b', 0.6)))
  assert.match(page, /Settings that differ\|[\s\S]*\|trainer\.learning_rate\|+0\.0003\|+0\.0006\|/)
  assert.not.match(/Settings that differ[\s\S]*?Configuration/.exec(page)![0], /trainer\.seed/)
  assert.match(text(html(sample, { ...sample, name: 'other' })), /All runs have the same settings/)
  assert.equal(settings({ a: { b: [1, { c: null }], d: {} }, e: [] }), [
    ['a.b.0', '1'],
    ['a.b.1.c', 'null'],
    ['a.d', '{}'],
    ['e', '[]'],
  ])
})

test('a run without evaluation, log or curves has a page too', () => {
  const bare: RunReport = {
    ...sample,
    metrics: null,
    curves: null,
    log_history: [],
    rows: { train: 10, evaluation: null },
  }
  const page = text(html(bare))
  assert.match(page, /Nothing was evaluated/)
  assert.match(page, /Nothing was logged on the way/)
  assert.throws(
    () => html(),
    (e: unknown) => e instanceof ConfigError && /at least one run/.test(e.message),
  )
})

test('long logs are thinned, and time that no part claims is other', () => {
  const log_history = Array.from({ length: 50_000 }, (_, i) => ({ step: i + 1, epoch: 1, loss: Math.sin(i) }))
  log_history[30_000]!.loss = 99
  const [run] = pageData([{ ...sample, log_history }]).runs
  assert.ok(run!.series.loss!.length < 900, `${run!.series.loss!.length} points`)
  assert.ok(
    run!.series.loss!.some(([step, loss]) => step === 30_001 && loss === 99),
    'the spike is kept',
  )
  assert.ok(Math.abs(run!.seconds.other! - (190 - 6.2 - 21 - 118 - 30.5 - 4.1)) < 1e-9)
  assert.equal([8.26, 59.96, 185, 3599.7, 7620].map(formatDuration), [
    '8.3 s',
    '1 min 00 s',
    '3 min 05 s',
    '1 h 00 min',
    '2 h 07 min',
  ])
})

const broken: [string, (report: Record<string, unknown>) => unknown, RegExp][] = [
  ['another format', r => ({ ...r, format: 2 }), /r\.json: format: expected format 1, got 2/],
  ['no object', () => 7, /r\.json: .*Object.* 7/],
  ['a missing key', ({ rows: _, ...r }) => r, /r\.json: .*rows/],
  ['text for a number', r => ({ ...r, metrics: { roc_auc: 'high' } }), /r\.json: metrics\.roc_auc: .*"high"/],
]
for (const [name, change, message] of broken) {
  test(`refused: ${name}`, () => {
    const act = () => parseRunReport(change({ ...sample }), 'r.json')
    assert.throws(act, (error: unknown) => error instanceof ConfigError && message.test(error.message))
  })
}

test('a folder without a report, and one that is no JSON, are named', async () => {
  const says = async (path: string, message: RegExp) => {
    const error = await readRunReport(path).catch(error => error)
    assert.ok(error instanceof ConfigError && message.test(error.message), String(error))
  }
  await says(join(folder, 'none'), /cannot read .*none.report\.json: no such file/)
  const file = join(folder, 'half.json')
  writeFileSync(file, '{"format": 1,')
  await says(file, /half\.json is not valid JSON/)
})

test.run()
