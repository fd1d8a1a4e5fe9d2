// Runs that were evaluated on different data are not compared: neither in a table, nor as the best, nor in one chart.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseRunReport, type RunReport, reportHtml } from '../../../src/train/index.ts'
import { dataWarning } from '../../../src/train/report/same-data.ts'
import { sampleReport } from '../../support/sample-report.ts'

const file = (sha256: string, rows = 6000) => ({ file: `${sha256}.parquet`, rows, bytes: 10 * rows, sha256 })
function report(name: string, skill: number, evaluation_data?: RunReport['evaluation_data']): RunReport {
  const made = { ...sampleReport(name, skill, { steps: 500 }), evaluation_data }
  return parseRunReport(JSON.parse(JSON.stringify(made)), name)
}
const page = (...reports: RunReport[]) => reportHtml(reports, { chartJs: '', page: '' })
const count = (text: string, what: string) => text.split(what).length - 1

test('the same data, wherever its files lie, compares as ever', () => {
  const moved = { ...file('a'), file: 'elsewhere/b.parquet' }
  const [a, b] = [report('first', 1, [file('a')]), report('second', 0.2, [moved])]
  assert.is(dataWarning([a, b]), undefined)
  const html = page(a, b)
  assert.is(count(html, 'best ROC AUC first'), 1)
  assert.is(count(html, 'id="chart-roc"'), 1)
  assert.not.match(html, 'different data')
})

test('other rows, other files, another order or another number of them do not', () => {
  const first = report('first', 1, [file('a'), file('b')])
  for (const other of [
    [file('a'), file('c')],
    [file('b'), file('a')],
    [file('a')],
    [file('a', 5000), file('b')],
  ]) {
    const second = report('second', 0.2, other)
    assert.is(
      dataWarning([first, second]),
      'the runs were evaluated on different data, so their figures do not compare (first | second)',
    )
    const html = page(first, second)
    assert.match(html, 'the runs were evaluated on different data')
    assert.not.match(html, /best ROC AUC first|\(best\)/)
    for (const chart of ['roc', 'pr', 'reliability', 'loss', 'eval_roc_auc', 'eval_brier']) {
      assert.not.match(html, `id="chart-${chart}"`)
      for (const data of [0, 1]) assert.is(count(html, `id="chart-${chart}-data-${data}"`), 1, chart)
    }
    assert.is(count(html, 'id="chart-learning_rate"'), 1)
  }
})

test('of three runs, the two of the same data are compared with each other', () => {
  const runs = [report('a', 1, [file('x')]), report('b', 0.5, [file('y')]), report('c', 0.2, [file('x')])]
  assert.match(dataWarning(runs)!, /\(a, c \| b\)$/)
  const html = page(...runs)
  assert.is(count(html, 'best ROC AUC first'), 1)
})

test('reports that do not say what their data was are told by their rows, which is said', () => {
  const [a, b] = [report('old', 1), report('older', 0.2)]
  assert.match(
    dataWarning([a, b])!,
    /is not noted in the report of old, older; the number of rows is the same$/,
  )
  assert.match(page(a, b), 'is not noted in the report of old, older')
  const fewer = { ...report('few', 0.2), rows: { train: 9, evaluation: 5 } }
  assert.match(dataWarning([a, fewer])!, /different data/)
  assert.match(dataWarning([a, report('new', 1, [file('a')])])!, /different data/)
  assert.is(dataWarning([a]), undefined)
})

test.run()
