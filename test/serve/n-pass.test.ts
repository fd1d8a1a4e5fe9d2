// A ranker of several passes in memory: batches of many queries, ties, models that read lists, measures, and what is refused.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter, writeParameter } from '../../src/autograd/index.ts'
import { readColumns, writeParquet } from '../../src/data/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import { registerModel } from '../../src/models/index.ts'
import {
  embed,
  measureCuts,
  NPassRanker,
  parsePasses,
  readPasses,
  writeRanked,
  writeThrough,
  writeVectors,
} from '../../src/serve/index.ts'
import { predict, saveModel } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { crossEncoder, writeCandidates } from '../support/n-pass.ts'
import { Ranker } from '../support/ranker.ts'
import { late, twin, writeAds } from '../support/two-sided.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-n-pass-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
const at = (name: string) => join(folder, name)
const gpu = await openTestGpu()
const ads = await writeAds(folder, 'ads', 30, 1)
const file = await writeCandidates(folder, ads, 9, 3)
const ROWS = file.ad.length
const keys = ['query', 'user']
const [student, teacher] = [late(gpu), crossEncoder(gpu)]
/** That a call ends in one of the library's errors that says so. */
async function refused(call: () => Promise<unknown>, says: RegExp): Promise<void> {
  const error = await call().then(
    () => new Error('nothing was refused'),
    error => error,
  )
  assert.match(String(error.message), says)
  assert.instance(error, KernelgradError)
}
const vectors = await embed(student, ads.path, { side: 'ad', id: 'ad_id' })

test('scores and orders do not hang on batches, nor on which lists are ranked; each query is encoded with others', async () => {
  const runs = []
  for (const batchSize of [1, 5, 1000]) {
    const ranker = await NPassRanker.create(
      [
        { model: student, vectors, k: 4, batchSize },
        { model: teacher, batchSize },
      ],
      { keys },
    )
    assert.is(ranker.passes, 2)
    const candidates = await ranker.read(file.path)
    assert.equal([candidates.idColumn, candidates.file], ['ad_id', file.path])
    const done: number[][] = []
    const whole = await ranker.rank(candidates, { onBatch: (...told) => done.push(told) })
    const last = done.filter(([pass]) => pass === 1)
    assert.equal(last.at(-1), [1, whole.scored[1], whole.scored[1]])
    assert.is(last.length, Math.ceil(whole.scored[1]! / batchSize), 'queries share batches')
    runs.push(whole)
    // A list alone, and some in another order, are as among all.
    const lists = candidates.starts.length - 1
    const some = [lists - 1, 0]
    const part = await ranker.rank(candidates, { lists: some })
    for (const [i, list] of some.entries())
      assert.equal(
        [...part.rows.subarray(part.starts[i], part.starts[i + 1])],
        [...whole.rows.subarray(whole.starts[list], whole.starts[list + 1])],
      )
    ranker.free()
  }
  const [one, ...others] = runs
  for (const other of others) {
    assert.equal([...other.rows], [...one!.rows])
    assert.equal([...other.passes], [...one!.passes])
    assert.ok(other.scores.every((score, i) => Math.abs(score - one!.scores[i]!) < 2e-6))
  }
  // The ranker's models stay the caller's.
  assert.is((await readParameter(student.head.weight)).length, 16)
})

test('equal scores keep the file’s order, and that of the pass before', async () => {
  const same = twin(gpu)
  const flat = late(gpu)
  writeParameter(flat.head.weight, new Float32Array(16))
  const ranker = await NPassRanker.create([{ model: flat, k: 3 }, { model: flat, k: 2 }, { model: flat }])
  await refused(() => ranker.read(file.path), /NPassRanker: keys is missing/)
  const { rows, starts } = await ranker.rank(await ranker.read(file.path, { keys }))
  for (let list = 0; list + 1 < starts.length; list++) {
    const own = [...rows.subarray(starts[list], starts[list + 1])]
    assert.equal(
      own,
      own.toSorted((a, b) => a - b),
    )
  }
  // What comes equal from a first pass that orders stays as that ordered it.
  const after = await NPassRanker.create([{ model: same }, { model: flat, k: 1 }])
  const before = await NPassRanker.create([{ model: same }, { model: same, k: 1 }])
  const [a, b] = [await after.read(file.path, { keys }), await before.read(file.path, { keys })]
  assert.equal([...(await after.rank(a)).rows], [...(await before.rank(b)).rows])
  assert.ok(!(await after.rank(a)).rows.every((row, i) => row === a.rows[i]))
  flat.free()
  same.free()
})

test('a model that reads lists of its own ranks what is left of them, in the last pass too', async () => {
  registerModel(Ranker as never)
  const ranker = new Ranker().to(gpu, { seed: 3 }).eval()
  const n = 12
  const column = (make: (i: number) => number) => Array.from({ length: n }, (_, i) => make(i))
  const columns = [
    { name: 'session', kind: 'int64' as const, data: column(i => i % 2) },
    { name: 'query', kind: 'int64' as const, data: column(() => 7) },
    { name: 'price', kind: 'double' as const, data: column(i => Math.sin(i)) },
    { name: 'age', kind: 'double' as const, data: column(i => Math.cos(3 * i)) },
  ]
  await writeParquet(at('lists.parquet'), columns)
  const passes = await NPassRanker.create(
    [
      { model: ranker, k: 3 },
      { model: ranker, batchSize: 1 },
    ],
    { keys: ['session'] },
  )
  const candidates = await passes.read(at('lists.parquet'))
  const ranked = await passes.rank(candidates)
  const whole = await predict(ranker, candidates.stages[0]!.columns)
  for (let list = 0; list < 2; list++) {
    const own = ranked.rows.subarray(ranked.starts[list], ranked.starts[list + 1])
    assert.equal(
      [...own],
      [...own].toSorted((a, b) => whole[b]! - whole[a]!),
    )
    const top = ranked.scores.subarray(ranked.starts[list], ranked.starts[list]! + 3)
    // A softmax over three rows is not one over six.
    assert.ok(Math.abs(top.reduce((sum, p) => sum + p, 0) - 1) < 1e-6)
    const sum = own.slice(0, 3).reduce((all, row) => all + whole[row]!, 0)
    for (let i = 0; i < 3; i++) assert.ok(Math.abs(top[i]! - whole[own[i]!]! / sum) < 1e-6)
  }
  ranker.free()
})

test('loaded from a file beside its models; each k is measured, and the smallest near all is chosen', async () => {
  await saveModel(student, at('student'))
  await saveModel(teacher, at('teacher'))
  await writeVectors(at('ads.vectors'), vectors)
  const config = { keys, passes: [{ model: 'student', vectors: 'ads.vectors', k: 4 }, { model: 'teacher' }] }
  writeFileSync(at('passes.json'), JSON.stringify(config))
  assert.equal((await readPasses(at('passes.json'))).passes, [
    { model: at('student'), vectors: at('ads.vectors'), k: 4 },
    { model: at('teacher') },
  ])
  const ranker = await NPassRanker.load(gpu, at('passes.json'))
  const candidates = await ranker.read(file.path)
  const { cuts, chosen } = await measureCuts(ranker, candidates, {
    labels: file.label,
    ks: [4, 1],
    at: 3,
    repeats: 1,
  })
  assert.equal(
    cuts.map(({ k }) => k),
    [1, 4, Number.POSITIVE_INFINITY],
  )
  const all = cuts[2]!
  assert.equal([all.recall, all.own_recall, all.scored], [1, 1, ROWS])
  for (const [i, { recall, own_recall, scored, latency, total, ms }] of cuts.entries()) {
    if (i)
      assert.ok(
        recall >= cuts[i - 1]!.recall &&
          own_recall >= cuts[i - 1]!.own_recall &&
          scored > cuts[i - 1]!.scored,
      )
    assert.equal([latency.length, ms.length], [2, 2])
    assert.ok(latency.every(({ p50, p99 }) => p50 > 0 && p99 >= p50) && total.p99 >= total.p50)
  }
  const near = cuts.find(({ ndcg }) => ndcg >= all.ndcg - 0.01)!
  assert.is(chosen, near.k)
  const wide = await measureCuts(ranker, candidates, { labels: file.label, ks: [1], within: 1, repeats: 1 })
  assert.is(wide.chosen, 1)
  // The same in files.
  const ranked = await ranker.rank(candidates)
  await writeRanked(at('ranked.parquet'), candidates, ranked)
  const { rank, ad_id } = await readColumns(at('ranked.parquet'), ['rank', 'ad_id'])
  assert.equal(
    ad_id!.map(Number),
    Array.from(ranked.rows, row => file.ad[row]!),
  )
  assert.is(rank!.filter(one => Number(one) === 1).length, candidates.starts.length - 1)
  assert.is(
    await writeThrough(
      at('through.parquet'),
      file.path,
      candidates,
      await ranker.rank(candidates, { ks: [2, 1] }),
    ),
    candidates.starts.length - 1,
  )
  for (const [call, says] of [
    [() => measureCuts(ranker, candidates, { labels: file.label, ks: [] }), /ks is an array of 0/],
    [() => measureCuts(ranker, candidates, { labels: file.label, ks: [0] }), /ks\[0\] is 0/],
    [() => measureCuts(ranker, candidates, { labels: file.label, ks: [1], k: 3 } as never), /'k' is unknown/],
    [() => measureCuts(ranker, candidates, { labels: [1], ks: [1] }), /labels has 1 values, expected \d+/],
    [
      () => measureCuts(ranker, candidates, { labels: file.label.with(3, -1), ks: [1] }),
      /label of row 3 is -1/,
    ],
    [() => measureCuts(ranker, candidates, undefined as never), /options is undefined/],
    [() => writeThrough(at('never'), ads.path, candidates, ranked), /ads\.parquet has 30 rows, expected \d+/],
    [
      () => ranker.rank(candidates, { ks: [1, 2] }),
      /NPassRanker\.rank: pass 2: k is 2, expected fewer than 1/,
    ],
    [() => ranker.rank(candidates, { ks: [1] }), /ks is an array of 1, expected 2 of them/],
    [() => ranker.rank(candidates, { ks: [Number.NaN, 1] }), /ks\[0\] is NaN/],
    [() => ranker.rank(candidates, { lists: [] }), /lists is an array of 0/],
    [() => ranker.rank(candidates, { lists: [99] }), /lists\[0\] is 99, expected 0 to \d+/],
    [() => ranker.rank(candidates, { lists: [0, 0] }), /lists\[1\] is 0, which is there already/],
    [() => ranker.rank(candidates, { top: 3 } as never), /'top' is unknown/],
    [() => ranker.rank(candidates, { onBatch: 3 as never }), /onBatch is 3/],
    [() => ranker.rank({ ...candidates }), /expected what read\(\) of this ranker gave/],
    [() => ranker.rank(undefined as never), /candidates is undefined/],
    [() => ranker.read(file.path, { key: ['query'] } as never), /'key' is unknown; did you mean 'keys'/],
    [() => ranker.read(file.path, { keys: 'query' as never }), /keys is 'query', expected names of columns/],
    [() => ranker.read(file.path, { id: 3 as never }), /id is 3/],
    [() => ranker.read(file.path, { truncate: 1 as never }), /truncate is 1/],
  ] as [() => Promise<unknown>, RegExp][])
    await refused(call, says)
  ranker.free()
  ranker.free()
  await refused(() => ranker.rank(candidates), /the ranker is freed/)
})

test('passes that cannot be are refused by name', async () => {
  const other = await embed(late(gpu, 2), ads.path, { side: 'ad', id: 'ad_id' })
  for (const [passes, says] of [
    [undefined, /passes is undefined/],
    [[], /passes is an array of 0, expected an array of one pass or more/],
    [[{}], /NPassRanker: pass 1: model is undefined/],
    [['runs/x'], /NPassRanker: pass 1 is 'runs\/x'/],
    [[{ model: student, K: 3 }], /pass 1: 'K' is unknown; did you mean 'k'/],
    [[{ model: student, k: 0 }], /pass 1: k is 0/],
    [[{ model: student, k: Number.NaN }], /pass 1: k is NaN/],
    [[{ model: student, batchSize: 1.5 }], /pass 1: batchSize is 1\.5/],
    [[{ model: student, score: 'click' }], /pass 1: score is 'click'; expected one of probability/],
    [[{ model: student, vectors: other }], /pass 1: vectors: the vectors are of other weights/],
    [[{ model: teacher, vectors }], /pass 1: vectors: the model is a TextTabularModel/],
    [[{ model: student, vectors: 'ads.vectors' }], /pass 1: vectors is 'ads\.vectors', expected a cache/],
    [[{ model: student, vectors: { ...vectors, ids: [] } }], /pass 1: vectors: vectors has/],
    [[{ model: student, vectors, id: '' }], /pass 1: id is ''/],
    [
      [
        { model: student, k: 3 },
        { model: teacher, k: 3 },
      ],
      /NPassRanker: pass 2: k is 3, expected fewer than 3/,
    ],
  ] as [never, RegExp][])
    await refused(() => NPassRanker.create(passes), says)
  await refused(() => NPassRanker.create([{ model: student }], { key: ['a'] } as never), /'key' is unknown/)
  const broken = late(gpu)
  writeParameter(broken.head.weight, new Float32Array(16).fill(Number.NaN))
  const ranker = await NPassRanker.create([{ model: broken }])
  const candidates = await ranker.read(file.path)
  await refused(
    () => ranker.rank(candidates),
    /NPassRanker: pass 1: .*candidates\.parquet: the score of row 0 is NaN/,
  )
  assert.throws(
    () => parsePasses({ passes: Array.from({ length: 256 }, () => ({ model: 'a' })) }, 'p'),
    /256 passes/,
  )
  assert.throws(
    () => parsePasses({ passes: [{ model: '' }] }, 'p.json'),
    /p\.json: pass 1: model: expected a name/,
  )
})

test('nonsense in every place is refused by name', async () => {
  const ranker = await NPassRanker.create([{ model: student, vectors, k: 2 }, { model: teacher }], { keys })
  const candidates = await ranker.read(file.path)
  const ranked = await ranker.rank(candidates)
  const labels = file.label
  const kinds = [
    undefined,
    null,
    0,
    Number.NaN,
    '',
    true,
    [],
    {},
    5n,
    Symbol('s'),
    new Map(),
    new Date(),
    () => 1,
  ]
  const calls: Record<string, (value: never) => unknown> = {
    readPasses,
    parsePasses: value => parsePasses(value, 'p.json'),
    'passes of one': value => parsePasses({ passes: [value] }, 'p.json'),
    'a folder': value => parsePasses({ passes: [{ model: value }] }, 'p.json'),
    load: value => NPassRanker.load(gpu, value),
    create: value => NPassRanker.create(value),
    'create of one': value => NPassRanker.create([value]),
    read: value => ranker.read(value),
    rank: value => ranker.rank(value),
    'measureCuts, ranker': value => measureCuts(value, candidates, { labels, ks: [1] }),
    'measureCuts, candidates': value => measureCuts(ranker, value, { labels, ks: [1] }),
    'measureCuts, options': value => measureCuts(ranker, candidates, value),
    'measureCuts, labels': value => measureCuts(ranker, candidates, { labels: value, ks: [1] }),
    'measureCuts, ks': value => measureCuts(ranker, candidates, { labels, ks: value }),
    'writeRanked, path': value => writeRanked(value, candidates, ranked),
    'writeRanked, candidates': value => writeRanked(at('never'), value, ranked),
    'writeRanked, ranked': value => writeRanked(at('never'), candidates, value),
    'writeThrough, path': value => writeThrough(value, file.path, candidates, ranked),
    'writeThrough, source': value => writeThrough(at('never'), value, candidates, ranked),
    'writeThrough, candidates': value => writeThrough(at('never'), file.path, value, ranked),
    'writeThrough, ranked': value => writeThrough(at('never'), file.path, candidates, value),
  }
  for (const [name, call] of Object.entries(calls))
    for (const kind of kinds) {
      const error = await Promise.resolve()
        .then(() => call(kind as never))
        .then(
          () => undefined,
          thrown => thrown,
        )
      assert.instance(error, KernelgradError, `${name}: ${typeof kind} ${error}`)
    }
  assert.not(existsSync(at('never')))
})

test.run()
