// From a table as it is to predictions on raw rows, by commands.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns } from '../../src/data/index.ts'
import { clickRows, csvOf } from '../prepare/tables.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-cli-prepare-'))
test.after(() => rmSync(folder, { recursive: true }))
const at = (...names: string[]) => join(folder, ...names)
const rows = clickRows(260, 5)
const run = async (...args: string[]) => {
  const result = await kernelgrad(...args)
  assert.is(result.code, 0, result.err)
  return result.out
}
const refused = async (...args: string[]) => {
  const { code, err } = await kernelgrad(...args)
  assert.ok(code === 1 || code === 2, err)
  return err
}

test.before(async () => {
  writeFileSync(at('clicks.csv'), csvOf(rows))
  const told = await run(
    'prepare',
    at('clicks.csv'),
    '--label',
    'clicked',
    '--out',
    at('prepared'),
    '--max-tokens',
    '8',
  )
  assert.match(told, /\ncity +category +4 +\d+ +string, 4 codes and unknown\n/)
  assert.match(told, /\nrow_id +ignore .*left out: it looks like an identifier/)
  assert.match(told, /\nclicked +label +no → 0, yes → 1\n/)
  assert.match(
    told,
    /234 rows to train on and 26 to test, 2 classes; done in .*\n.*\ntrain with:\nnpx kernelgrad train .*prepared --out runs\/mine\n$/,
  )
  await run('train', at('prepared'), '--out', at('model'))
})

test('raw rows are scored as the prepared ones: evaluate, and predict to Parquet, CSV and NDJSON with columns handed on', async () => {
  const { rows: counted, metrics } = JSON.parse(
    await run('evaluate', '--model', at('model'), '--data', at('clicks.csv'), '--json'),
  )
  assert.equal([counted, Object.keys(metrics).includes('roc_auc')], [260, true])
  const predict = (data: string, out: string, ...more: string[]) =>
    run('predict', '--model', at('model'), '--data', data, '--out', at(out), ...more)
  await predict(at('prepared', 'test.parquet'), 'test.parquet')
  await predict(at('clicks.csv'), 'all.csv', '--columns', 'row_id,city,probability')
  const lines = readFileSync(at('all.csv'), 'utf8').trim().split('\n')
  assert.equal([lines[0], lines.length], ['row,row_id,city,label,probability', 261])
  const { probability } = await readColumns(await openParquet(at('test.parquet')), ['probability'])
  const [, ...scored] = lines.map(line => line.slice(line.lastIndexOf(',') + 1))
  // The test rows are some of the table's, in order, with the same bits.
  let next = 0
  for (const score of scored) if (next < 26 && Number(score) === (probability as number[])[next]) next++
  assert.is(next, 26)
  writeFileSync(
    at('new.ndjson'),
    `${JSON.stringify({ ...rows[0], clicked: undefined, city: 'Elsewhere', price: null })}\n`,
  )
  await predict(at('new.ndjson'), 'new.ndjson.out.jsonl', '--columns', 'row_id')
  const answer = JSON.parse(readFileSync(at('new.ndjson.out.jsonl'), 'utf8'))
  assert.equal(Object.keys(answer), ['row', 'row_id', 'probability'])
  assert.ok(answer.probability > 0 && answer.probability < 1)
})

test('a category whose values are all strange in a file is told, and one that has a single one that was learned is not', async () => {
  const told = async (cities: (i: number) => string) => {
    writeFileSync(at('strange.csv'), csvOf(rows.slice(0, 6).map((row, i) => ({ ...row, city: cities(i) }))))
    const { code, out, err } = await kernelgrad(
      ...['predict', '--model', at('model'), '--data', at('strange.csv'), '--out', at('strange.out.csv')],
    )
    assert.is(code, 0, err)
    return `${out}${err}`.split('\n').filter(line => line.startsWith('warning: '))
  }
  const [line, ...others] = await told(i => ['', 'PARIS', 'LYON'][i % 3]!)
  assert.equal(others, [])
  assert.match(
    line!,
    /^warning: column 'city': no value is one of those learned \('.*\), as 'PARIS'; all of them count/,
  )
  assert.equal(await told(i => (i === 5 ? 'Paris' : 'PARIS')), [])
  assert.equal(await told(() => ''), [])
})

test('what raw rows lack, and files of another preparation, are refused', async () => {
  writeFileSync(at('less.csv'), csvOf(rows.map(({ city, ...row }) => row)))
  const predict = (...more: string[]) =>
    refused('predict', '--model', at('model'), '--out', at('none.csv'), ...more)
  assert.match(
    await predict('--data', at('less.csv')),
    /there is no column 'city' for the model; .*columns: row_id, age/,
  )
  assert.match(
    await predict('--data', at('clicks.csv'), '--columns', 'rowid'),
    /there is no column 'rowid' for the output; the nearest is 'row_id'/,
  )
  writeFileSync(at('odd.csv'), csvOf(rows.map((row, i) => ({ ...row, price: i === 3 ? 'abc' : row.price }))))
  assert.match(
    await predict('--data', at('odd.csv')),
    /odd\.csv, row 3, column 'price': value 'abc', expected a finite number\n$/,
  )
  writeFileSync(at('unlabelled.csv'), csvOf(rows.map(({ clicked, ...row }) => row)))
  assert.match(
    await refused('evaluate', '--model', at('model'), '--data', at('unlabelled.csv')),
    /there is no column 'clicked' for the label/,
  )
  await run('prepare', at('clicks.csv'), '--label', 'clicked', '--out', at('other'), '--role', 'city=ignore')
  assert.match(
    await predict('--data', at('other', 'test.parquet')),
    /test\.parquet was prepared by another preparation\.json than .*model has/,
  )
  assert.match(
    await refused('train', at('prepared'), '--train', at('other', 'train.parquet'), '--out', at('never')),
    /train\.parquet was prepared by another preparation\.json than that in .*prepared/,
  )
  assert.not(existsSync(at('never')))
  assert.match(
    await refused('train', '--out', at('never')),
    /required option '--config <file>' not specified/,
  )
  assert.match(
    await refused('train', at('clicks.csv'), '--out', at('never')),
    /clicks\.csv has no preparation\.json, expected a folder that kernelgrad prepare wrote/,
  )
})

test('a table without text, with weights, is trained, and roles come from options and the edited file', async () => {
  writeFileSync(at('table.csv'), csvOf(rows.map((row, i) => ({ ...row, times: 1 + (i % 3) }))))
  const options = [
    '--role',
    'title=ignore',
    '--hash-buckets',
    'city=8',
    '--scale',
    'age=quantiles',
    '--weight',
    'times',
    '--impute',
    'mean',
  ]
  await run('prepare', at('table.csv'), '--label', 'clicked', '--out', at('flat'), ...options)
  const config = JSON.parse(readFileSync(at('flat', 'model.json'), 'utf8'))
  assert.equal(
    [config.architecture, config.weight_column, config.pretrained_model_config],
    ['TabularModel', 'weight', undefined],
  )
  await run('train', at('flat'), '--out', at('flat-model'))
  const { rows: counted } = JSON.parse(
    await run('evaluate', '--model', at('flat-model'), '--data', at('table.csv'), '--json'),
  )
  assert.is(counted, 260)
  await run('predict', '--model', at('flat-model'), '--data', at('clicks.csv'), '--out', at('flat.csv.gz'))
  const features = at('flat', 'features.json')
  const json = JSON.parse(readFileSync(features, 'utf8'))
  assert.equal(json.columns.city, { role: 'category', hash_buckets: 8 })
  json.columns.age = { role: 'ignore' }
  writeFileSync(at('edited.json'), JSON.stringify(json))
  const again = JSON.parse(
    await run(
      'prepare',
      at('table.csv'),
      '--label',
      'clicked',
      '--out',
      at('flat'),
      '--features',
      at('edited.json'),
      '--json',
    ),
  )
  assert.is(again.columns.find(({ name }: { name: string }) => name === 'age').role, 'ignore')
})

test('options that cannot be are refused before anything is read', async () => {
  const prepare = (...more: string[]) =>
    refused('prepare', at('clicks.csv'), '--label', 'clicked', '--out', at('no'), ...more)
  assert.match(
    await prepare('--role', 'city=number', 'city=category'),
    /--role city=number and city=category: expected one for column 'city'/,
  )
  assert.match(await prepare('--role', 'city'), /--role city: expected column=value/)
  assert.match(await prepare('--role', 'city=cat'), /--role city=cat: expected one of label, category/)
  assert.match(
    await prepare('--role', 'city=number', '--hash-buckets', 'city=3'),
    /column 'city' is to be number, and hash_buckets is of a category; expected one role/,
  )
  assert.match(await prepare('--split', 'time'), /--split time needs --split-by, the column that says when/)
  assert.match(await prepare('--test-share', '1'), /expected a number of at least 0 and below 1, got '1'/)
  assert.match(await prepare('--scale', 'log'), /--scale log: expected one of standard, quantiles, none/)
  for (const name of ['x.xlsx', 'x.json', 'x.txt', 'x.csv.zip', 'x.parquet.gz']) {
    const out = await refused(
      'predict',
      '--model',
      at('model'),
      '--data',
      at('clicks.csv'),
      '--out',
      at(name),
    )
    assert.ok(out.includes(`${name}: expected a name that ends in .parquet, .csv`), out)
    assert.not.ok(existsSync(at(name)))
  }
  const features = (edit: object) => {
    writeFileSync(at('edited.json'), JSON.stringify(edit))
    return prepare('--features', at('edited.json'))
  }
  const label = { role: 'label' }
  assert.match(
    await features({ columns: { clicked: label, city: label } }),
    /edited\.json: columns 'clicked' and 'city' are both to be the label, expected one/,
  )
  assert.match(
    await features({ columns: { clicked: label }, colums: {} }),
    /edited\.json: unknown key 'colums', expected 'columns' to be edited/,
  )
  const help = await run('prepare', '--help')
  assert.match(help, /Example:\n {2}kernelgrad prepare clicks\.csv --label clicked/)
})

test.run()
