// Ranking by several models in a row from the command line: the file it writes, what the first pass lets through, and what is refused.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openParquet, readColumns, writeParquet } from '../../src/data/index.ts'
import { columnOf, readStored } from '../../src/data/parquet.ts'
import { TabularRanker } from '../../src/models/index.ts'
import { embedToFile } from '../../src/serve/index.ts'
import { loadModel, saveModel } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { crossEncoder, writeCandidates } from '../support/n-pass.ts'
import { late, twin, writeAds } from '../support/two-sided.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-rank-'))
test.after(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const ads = await writeAds(folder, 'ads', 30, 1)
const few = await writeAds(folder, 'few', 9, 1)
const candidates = await writeCandidates(folder, ads, 9, 3)
const ROWS = candidates.ad.length
const gpu = await openTestGpu()
await saveModel(twin(gpu), at('twin'))
await saveModel(twin(gpu, { seed: 2 }), at('other'))
await saveModel(late(gpu), at('late'))
await saveModel(crossEncoder(gpu), at('cross'))
const table = new TabularRanker({
  features_config: {
    city: { dtype: 'categorical', vocab_size: 6, embedding_size: 3 },
    depth: { dtype: 'numerical' },
  },
  mlp_config: [{ hidden_size: 4, activation_function: 'ReLU' }],
  lists: ['user'],
  label: 'label',
  loss: 'pointwise',
})
await saveModel(table.to(gpu, { seed: 1 }).eval(), at('table'))
const model = await loadModel(gpu, at('twin'))
await embedToFile(model as never, ads.path, at('ads.vectors'), { side: 'ad', id: 'ad_id' })
await embedToFile(model as never, few.path, at('few.vectors'), { side: 'ad', id: 'ad_id' })
await embedToFile(model as never, candidates.path, at('queries.vectors'), { side: 'query' })
gpu.close()

const KEYS = ['query', 'user']
const FIRST = { model: at('twin'), vectors: at('ads.vectors'), k: 3 }
const LAST = { model: at('cross') }

/** Runs `rank` with what a passes file says, or with that text. */
function rank(says: unknown, ...more: string[]) {
  writeFileSync(at('passes.json'), typeof says === 'string' ? says : JSON.stringify(says))
  const args = ['--passes', at('passes.json'), '--data', candidates.path, '--out', at('ranked.parquet')]
  return kernelgrad('rank', ...args, ...more)
}

/** The model's own scores of every row. */
async function scoresOf(name: string): Promise<number[]> {
  const args = ['--model', at(name), '--data', candidates.path, '--out', at('scores.parquet')]
  const told = await kernelgrad('predict', ...args, '--batch-size', '7')
  assert.is(told.code, 0, told.err)
  return (await readColumns(at('scores.parquet'), ['probability'])).probability as number[]
}

test('the ranked file has every candidate once: survivors by the last pass, the rest behind by the first', async () => {
  const told = await rank({ keys: KEYS, passes: [FIRST, LAST] }, '--json')
  assert.is(told.code, 0, told.err)
  const { rows, lists, passes } = JSON.parse(told.out)
  const [first, last] = [await scoresOf('twin'), await scoresOf('cross')]
  const file = await openParquet(at('ranked.parquet'))
  assert.equal(file.columns, ['query', 'user', 'ad_id', 'rank', 'pass', 'score'])
  const written = await readColumns(file, file.columns)
  const byList = new Map<string, number[]>()
  for (let row = 0; row < ROWS; row++) {
    const key = `${candidates.query[row]} ${candidates.user[row]}`
    byList.set(key, [...(byList.get(key) ?? []), row])
  }
  assert.equal([rows, lists], [ROWS, byList.size])
  let line = 0
  let scored = 0
  for (const [key, list] of byList) {
    const best = list.toSorted((a, b) => first[b]! - first[a]!)
    const through = best.slice(0, 3).toSorted((a, b) => last[b]! - last[a]!)
    scored += through.length
    for (const [i, row] of [...through, ...best.slice(3)].entries()) {
      const of = (name: string) => written[name]![line]
      assert.equal(
        [`${of('query')} ${of('user')}`, Number(of('ad_id')), Number(of('rank'))],
        [key, candidates.ad[row], i + 1],
      )
      assert.is(Number(of('pass')), i < through.length ? 2 : 1)
      const wanted = i < through.length ? last[row]! : first[row]!
      assert.ok(Math.abs((of('score') as number) - wanted) < 2e-6)
      line++
    }
  }
  assert.is(line, ROWS)
  assert.equal(
    passes.map(({ scored, k }: { scored: number; k: number | null }) => [scored, k]),
    [
      [ROWS, 3],
      [scored, null],
    ],
  )
})

test('one pass of any model, without keys or vectors; query vectors; three passes; names from options', async () => {
  const one = await rank({ passes: [{ model: at('late') }] })
  assert.is(one.code, 0, one.err)
  const { row, rank: ranks, score } = await readColumns(at('ranked.parquet'), ['row', 'rank', 'score'])
  assert.equal(
    ranks!.map(Number),
    Array.from({ length: ROWS }, (_, i) => i + 1),
  )
  const own = await scoresOf('late')
  assert.ok(row!.every((r, i) => Math.abs(own[Number(r)]! - (score![i] as number)) < 2e-6))
  assert.ok(score!.every((s, i) => i === 0 || (s as number) <= (score![i - 1] as number)))
  // Query vectors are kept by row number, which is a column here.
  const numbered = [
    ...candidates.columns,
    { name: 'line', kind: 'int64' as const, data: [...candidates.ad.keys()] },
  ]
  await writeParquet(at('numbered.parquet'), numbered)
  const kept = await rank(
    {
      id: 'never',
      passes: [
        { model: at('twin'), vectors: at('queries.vectors'), id: 'line', k: 5, batch_size: 4 },
        { model: at('late'), k: 2, batch_size: 3 },
        LAST,
      ],
    },
    ...['--data', at('numbered.parquet'), '--keys', 'user', 'query', '--id', 'line'],
  )
  assert.is(kept.code, 0, kept.err)
  const { pass, line } = await readColumns(at('ranked.parquet'), ['user', 'query', 'line', 'pass'])
  assert.equal(
    line!.map(Number).toSorted((a, b) => a - b),
    [...candidates.ad.keys()],
  )
  assert.equal(new Set(pass!.map(Number)), new Set([3, 2, 1]))
})

test('the first pass may read the table alone', async () => {
  const told = await rank({ keys: KEYS, passes: [{ model: at('table'), k: 2 }, LAST] }, '--json')
  assert.is(told.code, 0, told.err)
  const { score, pass } = await readColumns(at('ranked.parquet'), ['score', 'pass'])
  assert.is(score!.length, ROWS)
  assert.is(pass!.filter(one => Number(one) === 2).length, JSON.parse(told.out).passes[1].scored)
})

test('what a pass lets through is written with all columns, in the file’s order; train reads such a file', async () => {
  const told = await rank(
    { keys: KEYS, passes: [FIRST, LAST] },
    '--through',
    '1',
    '--out',
    at('hard.parquet'),
  )
  assert.is(told.code, 0, told.err)
  assert.match(told.out, /\d+ of \d+ rows, what pass 1 lets through, in /)
  assert.is((await rank({ keys: KEYS, passes: [FIRST, LAST] })).code, 0)
  const ranked = await readColumns(at('ranked.parquet'), ['query', 'user', 'ad_id', 'pass'])
  const through = new Set(
    ranked.pass!.flatMap((pass, i) =>
      Number(pass) === 2 ? [`${ranked.query![i]} ${ranked.user![i]} ${ranked.ad_id![i]}`] : [],
    ),
  )
  const source = await openParquet(candidates.path)
  const file = await openParquet(at('hard.parquet'))
  assert.equal(file.columns, source.columns)
  const [all, hard] = await Promise.all(
    [source, file].map(one => readStored(one, one.columns, { rowStart: 0, rowEnd: one.rows })),
  )
  const rows = [...candidates.ad.keys()].filter(row =>
    through.has(`${candidates.query[row]} ${candidates.user[row]} ${candidates.ad[row]}`),
  )
  assert.is(file.rows, rows.length)
  for (const name of source.columns)
    assert.equal(columnOf(file, name).meaning, columnOf(source, name).meaning)
  for (const name of source.columns)
    assert.equal(
      hard![name],
      rows.map(row => all![name]![row]),
      name,
    )
})

test('what cannot be is one error that names file and pass, and no file appears', async () => {
  const two = (first: object, last: object = LAST) => ({
    keys: KEYS,
    passes: [
      { ...FIRST, ...first },
      { ...LAST, ...last },
    ],
  })
  const lacking = candidates.columns.filter(({ name }) => name !== 'city')
  await writeParquet(at('lacking.parquet'), lacking)
  const changed = (name: string, value: unknown) =>
    candidates.columns.map(one => (one.name === name ? { ...one, ...withRow(one.data, value) } : one))
  const withRow = (data: ArrayLike<unknown>, value: unknown) => ({
    data: Array.from(data, (v, i) => (i === 4 ? value : v)),
  })
  await writeParquet(at('null.parquet'), changed('query', null))
  await writeParquet(at('city.parquet'), changed('city', 6))
  await writeParquet(
    at('long.parquet'),
    changed(
      'title',
      Array.from({ length: 20 }, () => 1),
    ),
  )
  await writeParquet(
    at('empty.parquet'),
    candidates.columns.map(one => ({ ...one, data: [] })),
  )
  await writeParquet(at('rank.parquet'), [
    ...candidates.columns,
    { name: 'rank', kind: 'int64', data: candidates.ad },
  ])
  const again = candidates.query.findIndex(
    (query, i) =>
      candidates.query.indexOf(query) < i &&
      candidates.user[candidates.query.indexOf(query)] === candidates.user[i],
  )
  await writeParquet(
    at('twice.parquet'),
    candidates.columns.map(one =>
      one.name === 'ad_id'
        ? {
            ...one,
            data: candidates.ad.with(
              again,
              candidates.ad[candidates.query.indexOf(candidates.query[again]!)]!,
            ),
          }
        : one,
    ) as never,
  )
  const data = (name: string) => ['--data', at(name)]
  rmSync(at('ranked.parquet'))
  for (const [says, error, more = []] of [
    ['{', /passes\.json is not valid JSON/],
    [[], /passes\.json: expected an object/],
    [{}, /passes\.json: missing key "?passes/],
    [{ passes: [] }, /passes\.json: passes is empty, expected one pass or more/],
    [{ passes: {} }, /passes\.json: passes: expected a list of passes/],
    [{ passes: [LAST], key: ['query'] }, /passes\.json: unknown key "key"; allowed keys: keys, id, passes/],
    [{ passes: ['late'] }, /passes\.json: pass 1: expected an object, got "late"/],
    [
      two({ K: 3 }),
      /passes\.json: pass 1: unknown key "K"; allowed keys: model, vectors, id, score, k, batch_size/,
    ],
    [two({ k: 0 }), /passes\.json: pass 1: k: expected an integer of at least 1, got 0/],
    [two({ k: 2.5 }), /pass 1: k: .*got 2\.5/],
    [two({ k: '3' }), /pass 1: k: .*got "3"/],
    [two({ k: null }), /pass 1: k: .*got null/],
    [two({ k: -1 }), /pass 1: k: .*got -1/],
    [two({}, { k: 3 }), /passes\.json: pass 2: k is 3, expected fewer than 3, the k of pass 1/],
    [two({}, { k: 9 }), /pass 2: k is 9, expected fewer than 3/],
    [two({ batch_size: 0 }), /pass 1: batch_size: .*got 0/],
    [two({ model: undefined }), /pass 1: missing key "?model/],
    [two({}, { id: 'ad_id' }), /pass 2: id is 'ad_id' without vectors/],
    [
      two({}, { model: 'nowhere' }),
      /passes\.json: pass 2: model is nowhere: there is no .*nowhere, nor nowhere; expected the folder/,
    ],
    [
      two({ vectors: at('none') }),
      /passes\.json: pass 1: vectors is .*none: there is no .*none; expected a file that/,
    ],
    [two({}, { model: folder }), /passes\.json: pass 2: .*config\.json/],
    [two({ vectors: ads.path }), /passes\.json: pass 1: .*ads\.parquet is no file of vectors/],
    [two({ model: at('other') }), /passes\.json: pass 1: vectors: the vectors are of other weights/],
    [two({ model: at('late') }), /passes\.json: pass 1: vectors: /],
    [
      two({}, { vectors: at('ads.vectors') }),
      /passes\.json: pass 2: vectors: the model is a TextTabularModel/,
    ],
    [
      two({ vectors: at('few.vectors') }),
      /passes\.json: pass 1: .*candidates\.parquet: column ad_id, row \d+: id \d+ is not among the 9 vectors/,
    ],
    [two({ score: 'click' }), /pass 1: score is 'click'; expected one of probability/],
    [two({ id: 'ad' }), /passes\.json: pass 1: .*candidates\.parquet has no column ad;/],
    [{ passes: two({}).passes }, /passes\.json: keys is missing, expected .*2 passes/],
    [{ ...two({}), keys: [] }, /passes\.json: keys is missing/],
    [{ ...two({}), keys: ['query', 'query'] }, /keys names column query twice/],
    [{ ...two({}), keys: 'query' }, /passes\.json: keys: expected a list of column names/],
    [{ ...two({}), keys: ['session'] }, /candidates\.parquet has no column session;/],
    [
      { ...two({}), keys: ['search'] },
      /column search is a list, which is read as a key; expected a whole number or text/,
    ],
    [{ ...two({}), keys: ['depth'] }, /column depth, row 0: id .*expected a whole number or text/],
    [{ ...two({}), id: 'none' }, /candidates\.parquet has no column none;/],
    [
      two({}),
      /passes\.json: pass 2: .*lacking\.parquet has no column city; .*reads it as 'categorical'/,
      data('lacking.parquet'),
    ],
    [two({}), /null\.parquet: column query, row 4: id null/, data('null.parquet')],
    [
      two({}),
      /passes\.json: pass 2: .*city\.parquet: column city, row 4: value 6, expected 0 to 5/,
      data('city.parquet'),
    ],
    [
      two({}),
      /passes\.json: pass 2: .*long\.parquet: row 4 has a text of \d+ tokens, expected at most 16/,
      data('long.parquet'),
    ],
    [two({}), /empty\.parquet has no rows/, data('empty.parquet')],
    [
      two({}),
      /twice\.parquet: column ad_id: row \d+ has \d+n?, as row \d+ of the same list \(query 'q\d', user \d\), expected a candidate once/,
      data('twice.parquet'),
    ],
    [two({}), /'user' stands twice/, ['--keys', 'user', 'user']],
    [{ ...two({}), keys: [...KEYS, 'rank'] }, /two columns rank/, data('rank.parquet')],
    [two({}), /--through 3: .*passes\.json has 2 passes/, ['--through', '3']],
    [two({ k: undefined }), /--through 1: .*pass 1 has no k/, ['--through', '1']],
    [two({}), /--keys query,: .*a name is empty|a name is empty/, ['--keys', 'query,']],
    [two({}), /is the file that --passes reads/, ['--out', at('passes.json')]],
    [two({}), /is the file that --passes reads/, ['--out', at('ads.vectors')]],
    [two({}), /is the file that --data reads/, ['--out', candidates.path]],
  ] as [unknown, RegExp, string[]?][]) {
    const { code, out, err } = await rank(says, ...more)
    assert.ok(code === 1 || code === 2, `${JSON.stringify(says)}: ${out}`)
    assert.match(err, error)
    assert.is(err.trim().split('\n').length, 1, err)
    assert.not.match(out, /pass \d: row/, 'nothing was scored')
    assert.not(existsSync(at('ranked.parquet')))
  }
  assert.is((await rank(two({}), ...data('long.parquet'), '--truncate')).code, 0)
})

test.run()
