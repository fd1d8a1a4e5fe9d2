// From a teacher's logits to a student on the command line: both ways to the logits, a start from a whole model, and what is refused.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns, type WriteColumn, writeParquet } from '../../src/data/index.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-distil-'))
const at = (name: string) => join(folder, name)
const ROWS = 40
const column = <T>(make: (i: number) => T) => Array.from({ length: ROWS }, (_, i) => make(i))
const TEXT: WriteColumn = {
  name: 'words',
  kind: 'list<int64>',
  data: column(i => Array.from({ length: 1 + (i % 5) }, (_, j) => (7 * i + 3 * j) % 19)),
}
const CITY: WriteColumn = { name: 'city', kind: 'int64', data: column(i => i % 4) }
const LABEL: WriteColumn = { name: 'label', kind: 'int64', data: column(i => Number(i % 3 === 0)) }
const features = {
  words: { dtype: 'token_id' },
  city: { dtype: 'categorical', vocab_size: 4, embedding_size: 3 },
}
const encoder = { vocab_size: 20, pad_token_id: 19, dim: 8, n_heads: 2, n_layers: 1, hidden_dim: 12 }
const trainer = { num_train_epochs: 1, per_device_train_batch_size: 8, eval_steps: null, save_steps: null }
const never = { load_best_model_at_end: false }

/** Runs `train` with a configuration of these settings. */
async function train(out: string, settings: object, file: string, ...more: string[]) {
  const config = {
    features_config: features,
    pretrained_model_config: encoder,
    trainer: { ...trainer, ...never, ...settings },
  }
  writeFileSync(at(`${out}.json`), JSON.stringify(config))
  const args = ['--config', at(`${out}.json`), '--train', at(file), '--out', at(out), ...more]
  return kernelgrad('train', ...args)
}
const predict = (out: string, ...more: string[]) =>
  kernelgrad('predict', '--model', at('teacher'), '--data', at('all.parquet'), '--out', at(out), ...more)
const weights = (run: string) => readFileSync(join(at(run), 'model.safetensors'))
const logits = async () =>
  readColumns(await openParquet(at('logits.parquet')), ['row', 'label', 'logit_0', 'logit_1'])

test('logits are written as columns, beside the probability or alone', async () => {
  await writeParquet(at('all.parquet'), [TEXT, CITY, LABEL])
  assert.is((await train('teacher', { learning_rate: 0.05 }, 'all.parquet')).code, 0)
  assert.is((await predict('logits.parquet', '--columns', 'logits')).code, 0)
  assert.equal((await openParquet(at('logits.parquet'))).columns, ['row', 'label', 'logit_0', 'logit_1'])
  const both = await predict('both.parquet', '--columns', 'probability,logits')
  assert.is(both.code, 0, both.err)
  const file = await openParquet(at('both.parquet'))
  assert.equal(file.columns, ['row', 'label', 'probability', 'logit_0', 'logit_1'])
  const { probability, logit_0, logit_1 } = await readColumns(file, file.columns)
  const alone = await logits()
  for (let i = 0; i < ROWS; i++) {
    const [a, b] = [logit_0![i] as number, logit_1![i] as number]
    assert.ok(Math.abs(1 / (1 + Math.exp(a - b)) - (probability![i] as number)) < 1e-6)
    assert.equal([alone.logit_0![i], alone.logit_1![i]], [a, b])
  }
  for (const [columns, said] of [
    ['logit', /--columns logit: 'logit' is unknown, expected features, probability, logits, or several/],
    ['logits,logits', /'logits' stands twice/],
    ['', /'' is unknown/],
  ] as const) {
    const { code, err } = await predict('never.parquet', '--columns', columns)
    assert.is(code, 2)
    assert.match(err, said)
  }
})

test('a student of a teacher, and of its logits in a file without labels, are the same; it goes on on clicks', async () => {
  const { logit_0, logit_1 } = await logits()
  const kept = (name: string, data: unknown[]): WriteColumn => ({ name, kind: 'float', data })
  const columns = [kept('logit_0', logit_0!), kept('logit_1', logit_1!)]
  await writeParquet(at('taught.parquet'), [TEXT, CITY, ...columns])
  await writeParquet(at('unlabelled.parquet'), [TEXT, CITY])
  const beside = { distillation: { teacher: at('teacher'), temperature: 2 } }
  const byColumns = { distillation: { columns: ['logit_0', 'logit_1'], temperature: 2 } }
  const first = await train('beside', beside, 'unlabelled.parquet')
  assert.is(first.code, 0, first.err)
  const second = await train('columns', byColumns, 'taught.parquet')
  assert.is(second.code, 0, second.err)
  assert.ok(weights('beside').equals(weights('columns')))
  const tuned = await train(
    'tuned',
    { learning_rate: 0, encoder_learning_rate: 0 },
    'all.parquet',
    '--init-from',
    at('beside'),
  )
  assert.is(tuned.code, 0, tuned.err)
  assert.ok(weights('tuned').equals(weights('beside')), 'all weights are those it started from')
})

test('features pass through beside the logits: what a teacher wrote trains its student as it is', async () => {
  const note: WriteColumn = { name: 'note', kind: 'string', data: column(i => (i % 7 ? `row ${i}` : null)) }
  const far: WriteColumn = { name: 'far', kind: 'int64', data: column(i => 2n ** 62n + BigInt(i)) }
  const price: WriteColumn = { name: 'price', kind: 'double', data: column(i => i / 3) }
  const half: WriteColumn = { name: 'half', kind: 'float', data: column(i => i / 4) }
  const parts: WriteColumn = {
    name: 'parts',
    kind: 'list<float>',
    data: column(i => (i % 5 ? [i, 0.5] : [])),
  }
  const all = [TEXT, CITY, note, LABEL, far, price, half, parts]
  await writeParquet(at('wide.parquet'), all, { rowGroupSize: 17 })
  const wide = (out: string, columns: string, data = 'wide.parquet') =>
    kernelgrad(
      'predict',
      '--model',
      at('teacher'),
      '--data',
      at(data),
      '--out',
      at(out),
      '--columns',
      columns,
    )
  const said = await wide('passed.parquet', 'features,logits')
  assert.is(said.code, 0, said.err)
  const file = await openParquet(at('passed.parquet'))
  const names = all.map(({ name }) => name)
  assert.equal(file.columns, [...names, 'logit_0', 'logit_1'])
  const values = await readColumns(file, file.columns)
  assert.equal(
    Object.fromEntries(names.map(name => [name, values[name]])),
    await readColumns(await openParquet(at('wide.parquet')), names),
  )
  const alone = await logits()
  assert.equal([values.logit_0, values.logit_1], [alone.logit_0, alone.logit_1])
  const byColumns = { distillation: { columns: ['logit_0', 'logit_1'], temperature: 2 } }
  const first = await train('passed', byColumns, 'passed.parquet')
  assert.is(first.code, 0, first.err)
  assert.ok(weights('passed').equals(weights('columns')), 'the same rows and logits, joined by hand')
  // A second time those names are taken.
  const again = await wide('twice.parquet', 'features,logits', 'passed.parquet')
  assert.is(again.code, 1)
  assert.match(again.err, /twice\.parquet would have two columns logit_0: a column of the file has that name/)
  assert.not(existsSync(at('twice.parquet')))
  const only = await wide('only.parquet', 'features,probability')
  assert.is(only.code, 0, only.err)
  assert.equal((await openParquet(at('only.parquet'))).columns, [...names, 'probability'])
})

test('a teacher is evaluated on its student’s evaluation rows, and stands beside it in the report', async () => {
  const settings = { distillation: { teacher: at('teacher'), temperature: 2 } }
  const said = await train('judged', settings, 'unlabelled.parquet', '--eval', at('all.parquet'))
  assert.is(said.code, 0, said.err)
  assert.match(said.out, new RegExp(`metric +value +teacher ${at('teacher')}\n`))
  const own = await kernelgrad('evaluate', '--model', at('teacher'), '--data', at('all.parquet'), '--json')
  const { metrics } = JSON.parse(own.out)
  const report = JSON.parse(readFileSync(join(at('judged'), 'report.json'), 'utf8'))
  assert.equal(
    report.teachers.map(({ teacher, metrics }: { teacher: string; metrics: object }) => [teacher, metrics]),
    [[at('teacher'), metrics]],
  )
  assert.equal(Object.keys(report.teachers[0].curves), Object.keys(report.curves))
  assert.ok(report.seconds.parts['teacher evaluation'] > 0)
  const page = readFileSync(join(at('judged'), 'report.html'), 'utf8')
  const rows = [...page.matchAll(/<th role="rowheader" scope="row"><span>([^<]*)/g)].map(([, name]) => name)
  assert.ok(rows.includes('judged') && rows.includes(`teacher ${at('teacher')}`), rows.join())

  const { logit_0, logit_1 } = await logits()
  const kept = (name: string, data: unknown[]): WriteColumn => ({ name, kind: 'float', data })
  const columns = [kept('logit_0', logit_0!), kept('logit_1', logit_1!)]
  await writeParquet(at('answered.parquet'), [TEXT, CITY, LABEL, ...columns])
  const byColumns = { distillation: { columns: ['logit_0', 'logit_1'], temperature: 2 } }
  const second = await train(
    'answered',
    byColumns,
    'taught.parquet',
    '--eval',
    at('answered.parquet'),
    '--json',
  )
  assert.is(second.code, 0, second.err)
  const [found] = JSON.parse(second.out.trim().split('\n').at(-1)!).teachers
  assert.is(found.teacher, 'logit_0, logit_1')
  assert.equal(Object.keys(found.metrics), Object.keys(metrics))
  for (const [name, value] of Object.entries(metrics as Record<string, number>))
    assert.ok(Math.abs(found.metrics[name] - value) < 1e-6, `${name}: ${found.metrics[name]}, ${value}`)
  const none = await train('unanswered', byColumns, 'taught.parquet', '--eval', at('all.parquet'))
  assert.is(none.code, 0, none.err)
  assert.match(
    none.out,
    /note: the teacher logit_0, logit_1 is not evaluated: .*all\.parquet has no column logit_0\n/,
  )
  assert.not.match(none.out, /metric +value +teacher/)
})

test('one configuration: distilled on a file without labels, then fine-tuned on another, each stage from its own', async () => {
  const distillation = { teacher: at('teacher'), temperature: 2 }
  const stages = [
    { train: at('unlabelled.parquet'), distillation },
    { train: [at('all.parquet')], eval: at('all.parquet'), distillation: null },
  ]
  const config = (name: string, stages: object[]) => {
    const all = { ...trainer, ...never, stages }
    const json = { features_config: features, pretrained_model_config: encoder, trainer: all }
    writeFileSync(at(name), JSON.stringify(json))
    return ['--config', at(name), '--out', at('staged')]
  }
  const run = (name: string, stages: object[], ...more: string[]) =>
    kernelgrad('train', ...config(name, stages), ...more)
  const { code, err, out } = await run('staged.json', stages)
  assert.is(code, 0, err)
  assert.match(out, /80 rows to train on, 40 to evaluate on/)
  assert.match(out, /metric +value +teacher/)
  const report = JSON.parse(readFileSync(join(at('staged'), 'report.json'), 'utf8'))
  assert.equal(report.rows, { train: 80, evaluation: 40, trained: 80 })
  assert.ok(report.metrics.log_loss > 0)
  rmSync(at('staged'), { recursive: true })
  const shared = await train('tuned-alone', {}, 'all.parquet', '--eval', at('all.parquet'))
  assert.is(shared.code, 0, shared.err)
  for (const [bad, args, said] of [
    [
      [{ distillation }, stages[1]],
      [],
      /'--train <files\.\.\.>' is missing: trainer\.stages\[0\] names no train files/,
    ],
    [[], [], /'--train <files\.\.\.>' is missing: expected Parquet files to train on/],
    [stages, ['--train', at('all.parquet')], /--train .*all\.parquet is read by no stage/],
    [[{ ...stages[0], distillation: null }, stages[1]], [], /unlabelled\.parquet has no column label/],
    [[{ ...stages[0], train: at('nowhere.parquet') }, stages[1]], [], /nowhere\.parquet/],
    [
      [stages[0], { ...stages[1], eval: at('unlabelled.parquet') }],
      [],
      /unlabelled\.parquet has no column label/,
    ],
    [
      [{ ...stages[0], train: [] }, stages[1]],
      [],
      /staged\.json: trainer: stages\[0\]\.train|stages\[0\]\.train/,
    ],
  ] as [object[], string[], RegExp][]) {
    const refused = await run('staged.json', bad, ...args)
    assert.ok(refused.code > 0, JSON.stringify(bad))
    assert.match(refused.err, said)
    rmSync(at('staged'), { recursive: true, force: true })
  }
})

test('what a file, a teacher or a start cannot give is told before anything is trained', async () => {
  const teacher = { teacher: at('teacher') }
  await writeParquet(at('holes.parquet'), [
    TEXT,
    CITY,
    { name: 'logit_0', kind: 'float', data: column(i => (i === 13 ? Number.NaN : i)) },
    { name: 'logit_1', kind: 'float', data: column(i => i) },
  ])
  await writeParquet(at('bare.parquet'), [TEXT])
  for (const [distillation, file, said, more = []] of [
    [{ ...teacher, alpha: 0.5 }, 'unlabelled.parquet', /unlabelled\.parquet has no column label; .*'labels'/],
    [
      { columns: ['logit_0', 'logit_1'] },
      'holes.parquet',
      /holes\.parquet: column logit_0, row 13: value NaN/,
    ],
    [{ columns: ['logit_0', 'none'] }, 'taught.parquet', /no column none; .*reads it as 'teacher logits'/],
    [{ columns: ['words', 'logit_0'] }, 'taught.parquet', /column words is .*a number is expected/],
    [{ columns: ['logit_0'] }, 'taught.parquet', /columns logit_0: 1 logits a row, expected 2/],
    [teacher, 'bare.parquet', /bare\.parquet has no column city; /],
    [{ teacher: at('none') }, 'unlabelled.parquet', /teacher .*none holds no config\.json/],
    [{ ...teacher, temperature: 0 }, 'unlabelled.parquet', /temperature: expected a number above 0, got 0/],
    [teacher, 'unlabelled.parquet', /none.*model\.safetensors/, ['--init-from', at('none')]],
  ] as [object, string, RegExp, string[]?][]) {
    const { code, err } = await train('refused', { distillation }, file, ...more)
    assert.is(code, 1, `${JSON.stringify(distillation)}: ${err}`)
    assert.match(err, said)
    assert.not(existsSync(join(at('refused'), 'model.safetensors')))
    rmSync(at('refused'), { recursive: true, force: true })
  }
})

test.after(() => rmSync(folder, { recursive: true }))
test.run()
