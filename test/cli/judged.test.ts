// `train` with what its report tells rows apart by: groups of lists, groups of clicks, importance; and what is refused.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parquetBytes, randomStream } from '../../src/data/index.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-judged-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

const random = randomStream(5, 0)
const rows = Array.from({ length: 240 }, (_, i) => ({
  list: Math.floor(i / 4),
  market: ['north', 'south'][Math.floor(i / 4) % 2]!,
  other: i % 3,
  x: random.normal(),
  label: Number(random.uniform() < 0.4),
  words: [1, 2],
}))
const KINDS = {
  list: 'int64',
  market: 'string',
  other: 'int64',
  x: 'double',
  label: 'double',
  words: 'list<int64>',
} as const
writeFileSync(
  at('rows.parquet'),
  new Uint8Array(
    await parquetBytes(
      (Object.keys(KINDS) as (keyof typeof KINDS)[]).map(name => ({
        name,
        kind: KINDS[name],
        data: rows.map(row => row[name]),
      })) as never,
    ),
  ),
)
const trainer = { max_steps: 4, eval_steps: null, save_steps: null, load_best_model_at_end: false }
const config = (name: string, more: object) => {
  writeFileSync(
    at(name),
    JSON.stringify({ features_config: { x: { dtype: 'numerical' } }, trainer, ...more }),
  )
  return at(name)
}
const ranker = config('ranker.json', { architecture: 'TabularRanker', loss: 'pointwise' })
const clicks = config('clicks.json', { architecture: 'TabularModel', mlp_config: [] })
const classes = config('classes.json', { architecture: 'TabularModel', mlp_config: [], num_labels: 3 })

const ROWS = at('rows.parquet')
const start = (config: string, out: string, ...more: string[]) =>
  kernelgrad('train', '--config', config, '--train', ROWS, '--out', at(out), '--json', ...more)
const succeed = async (...args: Parameters<typeof start>) => {
  const { code, err } = await start(...args, '--eval', ROWS)
  assert.is(code, 0, err)
}

test('a ranker’s report has its figures by group, importance, slices and a short run’s log', async () => {
  await succeed(ranker, 'ranked', '--group-by', 'market', '--importance', '60', '--report-to', 'tensorboard')
  const report = json(join(at('ranked'), 'report.json'))
  assert.equal(
    report.lists.by_group.map(({ name, lists }: { name: string; lists: number }) => [name, lists]),
    [
      ['north', 30],
      ['south', 30],
    ],
  )
  assert.not.ok(Object.keys(report.metrics).some(name => name.includes('(')))
  assert.equal(
    [report.importance.figure, report.importance.rows, report.importance.repeats],
    ['ndcg@10', 60, 3],
  )
  assert.is(report.slices.figure, 'ndcg@10')
  assert.equal(
    report.log_history.flatMap((entry: Record<string, number>) => ('loss' in entry ? [entry.step] : [])),
    [1, 2, 3, 4],
  )
  assert.is(readdirSync(join(at('ranked'), 'runs')).length, 1)
})

test('of clicks there is the AUC within groups; importance may be left out', async () => {
  await succeed(clicks, 'clicked', '--group-by', 'other', '--importance', '0')
  const report = json(join(at('clicked'), 'report.json'))
  assert.is(report.metrics.gauc_groups, 3)
  assert.is(report.importance, undefined)
  assert.is(report.slices.figure, 'log_loss')
})

for (const [name, config, args, exit, message] of [
  ['nothing is evaluated', clicks, ['other'], 2, /--group-by other .* --eval names none/],
  [
    'a metric without groups',
    classes,
    ['other', '--eval', ROWS],
    2,
    /needs a model of 2 classes, or one that orders/,
  ],
  ['a column that is not there', clicks, ['markt', '--eval', ROWS], 1, /rows\.parquet.*markt/],
  [
    'a list a row',
    clicks,
    ['words', '--eval', ROWS],
    1,
    /column words is .*, a number or text per row is expected/,
  ],
  [
    'groups within lists',
    ranker,
    ['other', '--eval', ROWS],
    1,
    /row 1 has the group 1n? and the first row of its list 0n?,/,
  ],
] as const)
  test(`refused: ${name}`, async () => {
    const { code, err } = await start(config, `refused ${name}`, '--group-by', ...args)
    assert.is(code, exit, err)
    assert.match(err, message)
  })

test.run()
