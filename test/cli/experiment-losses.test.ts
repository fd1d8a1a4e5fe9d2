// The experiment on losses in its quick form: its checks, its table, and a report with the order of lists.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import { listWorld, writeListWorld } from '../../src/datasets/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import { meanOfLists, ndcg, parseRunReport, rankLists } from '../../src/train/index.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-losses-'))
test.after(() => rmSync(folder, { recursive: true }))

test('the world is as said: levels differ, its true order is the best, and a seed draws the same again', async () => {
  const { train, test: held } = listWorld({ trainLists: 400, testLists: 200, seed: 3 })
  assert.equal([train.starts.length, held.starts.length, train.labels.length], [401, 201, 4000])
  const column = (name: string) => train.columns.find(one => one.name === name)!.data as Float64Array
  // Log odds by list: x4 follows the level, x0 sets documents of a list apart, x5 says nothing.
  const correlation = (a: ArrayLike<number>, b: ArrayLike<number>) => {
    const mean = (x: ArrayLike<number>) => Array.from(x).reduce((s, v) => s + v, 0) / x.length
    const [ma, mb] = [mean(a), mean(b)]
    let [ab, aa, bb] = [0, 0, 0]
    for (let i = 0; i < a.length; i++) {
      ab += (a[i]! - ma) * (b[i]! - mb)
      aa += (a[i]! - ma) ** 2
      bb += (b[i]! - mb) ** 2
    }
    return ab / Math.sqrt(aa * bb)
  }
  assert.ok(correlation(column('x4'), train.logits) > 0.7)
  assert.ok(Math.abs(correlation(column('x5'), train.logits)) < 0.1)
  const best = meanOfLists(ndcg(rankLists(train.labels, train.logits, train.starts), { k: 10 })).mean
  for (const name of ['x0', 'x4', 'x5'])
    assert.ok(
      meanOfLists(ndcg(rankLists(train.labels, column(name), train.starts), { k: 10 })).mean < best - 0.01,
    )
  const data = await writeListWorld({
    folder: join(folder, 'world'),
    trainLists: 400,
    testLists: 200,
    seed: 3,
  })
  const { list, x1, label } = await readColumns(data.train, ['list', 'x1', 'label'])
  assert.equal(Array.from(x1!, Number), [...column('x1')])
  assert.equal(Array.from(label!, Number), [...train.labels])
  assert.equal(Number(list!.at(-1)), 399)
  assert.is(
    data.bestNdcg,
    meanOfLists(ndcg(rankLists(held.labels, held.logits, held.starts), { k: 10 })).mean,
  )
  for (const [given, says] of [
    [{ trainLists: 0 }, /trainLists is 0/],
    [{ testLists: 1.5 }, /testLists is 1\.5/],
    [{ seed: -1 }, /seed is -1/],
    [{ lists: 3 }, /'lists' is unknown/],
  ] as [object, RegExp][])
    assert.throws(
      () => listWorld(given),
      (e: Error) => e instanceof KernelgradError && says.test(e.message),
    )
})

test('losses, quick: it passes, and the report shows nDCG by rank and length', async () => {
  const out = join(folder, 'losses')
  const run = await kernelgrad('experiment', 'losses', '--quick', '--seeds', '1', '--seed', '4', '--out', out)
  assert.is(run.code, 0, run.err + run.out)
  assert.match(run.out, /\nnDCG@10 +seed 4 +PyTorch\n[- ]+\npointwise +\.\d{3} +\.815\n/)
  assert.match(run.out, /\nlog loss, pointwise +\.\d{3} +\.422\n/)
  assert.not.match(run.out, /FAIL|NaN|undefined/)
  const { pass, checks, trials } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'))
  assert.ok(pass)
  assert.is(checks.length, 8)
  const { figures } = trials[0]
  for (const name of ['pointwise', 'pairwise', 'lambdarank', 'listwise_normed', 'listnet']) {
    assert.ok(
      figures[name] > 0.6 && figures[name] <= figures.best_possible + 0.02,
      `${name} ${figures[name]}`,
    )
    const at = join(out, 'seed-4', name)
    assert.ok(existsSync(join(at, 'model.safetensors')))
    const report = parseRunReport(JSON.parse(readFileSync(join(at, 'report.json'), 'utf8')), name)
    const { ndcg: byRank, by_length, by_group } = report.lists!
    assert.is(byRank.length, 10)
    assert.ok(Math.abs(byRank[9]! - figures[name]) < 1e-6)
    assert.equal(
      by_length.map(part => [part.name, part.lists]),
      [['9-16', 300]],
    )
    assert.equal(by_group, [])
  }
  const page = readFileSync(join(out, 'report.html'), 'utf8')
  for (const text of ['nDCG by rank', 'nDCG@10 by length of the lists', 'lambdarank', 'best nDCG@10 first'])
    assert.ok(page.includes(text), text)
})

test.run()
