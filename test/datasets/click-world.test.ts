// The world of lists with clicks: its laws hold in the rows, the same options give the same rows, and sizes that cannot be are refused.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clickWorld } from '../../src/datasets/index.ts'
import { ultrWorld } from '../../src/datasets/ultr/index.ts'
import { ConfigError } from '../../src/errors.ts'

const column = (columns: { name: string; data: ArrayLike<unknown> }[], name: string): number[] =>
  Array.from(columns.find(one => one.name === name)!.data as ArrayLike<number>)

test('relevance, places and clicks follow the laws', () => {
  const {
    train,
    test: judged,
    propensities,
    oldRanker,
    random,
  } = clickWorld({ trainLists: 1_500, testLists: 300, seed: 3 })
  const [list, position, label, logit] = ['list', 'position', 'label', 'relevance_logit'].map(name =>
    column(train, name),
  ) as [number[], number[], number[], number[]]
  const x = Array.from({ length: 8 }, (_, f) => column(train, `x${f}`))
  assert.is(list.length, 15_000)
  for (let i = 0; i < list.length; i++) {
    assert.is(list[i], Math.floor(i / 10))
    assert.is(position[i], i % 10)
    const r = 1.2 * x[0]![i]! + 0.8 * x[1]![i]! * x[2]![i]! + 0.5 * Math.abs(x[3]![i]!) - 1.2
    assert.ok(Math.abs(logit[i]! - 2 * r) < 1e-12)
  }
  // Clicks by place: as many as their chances add up to, within four standard deviations.
  for (let k = 0; k < 10; k++) {
    let [wanted, spread, found] = [0, 0, 0]
    for (let i = k; i < list.length; i += 10) {
      const p = propensities[k]! / (1 + Math.exp(-logit[i]!))
      wanted += p
      spread += p * (1 - p)
      found += label[i]!
    }
    assert.ok(
      Math.abs(found - wanted) < 4 * Math.sqrt(spread),
      `place ${k}: ${found} clicks, ${wanted} expected`,
    )
  }
  const grades = column(judged, 'label')
  assert.equal([...new Set(grades)].sort(), [0, 1, 2, 3, 4])
  assert.ok(oldRanker > 0.75 && oldRanker < 0.83 && random > 0.6 && random < 0.68, `${oldRanker}, ${random}`)
  // Without taste and chance the old ranker is right.
  assert.ok(
    clickWorld({ trainLists: 1, testLists: 50, ranker: { relevance: 1, taste: 0, noise: 0 } }).oldRanker ===
      1,
  )
})

test('the same options give the same rows, other seeds others', () => {
  const rows = (seed: number) => JSON.stringify(clickWorld({ trainLists: 5, testLists: 3, seed }))
  assert.is(rows(1), rows(1))
  assert.is.not(rows(1), rows(2))
})

test('sizes and laws that cannot be are refused by name', () => {
  for (const [options, says] of [
    [{ trainLists: 0 }, /clickWorld: trainLists is 0, expected a whole number of at least 1/],
    [{ testLists: 1.5 }, /testLists is 1.5/],
    [{ longest: Number.NaN }, /longest is NaN/],
    [{ seed: -1 }, /seed is -1/],
    [{ ranker: { relevance: 1, taste: -1, noise: 0 } }, /ranker.taste is -1/],
    [{ ranker: { relevance: 1, taste: 1 } }, /ranker.noise is undefined/],
    [{ lists: 4 }, /'lists' is unknown/],
  ] as const)
    assert.throws(
      () => clickWorld(options as never),
      (error: Error) => error instanceof ConfigError && says.test(error.message),
    )
})

test('no two queries of a world of sessions are the same, however few words there are', () => {
  const { annotated } = ultrWorld({
    sessions: 5,
    queries: 400,
    candidates: 2,
    shown: 2,
    judged: 400,
    words: 12,
    seed: 1,
  })
  assert.is(new Set(annotated.map(({ query }) => query.join(' '))).size, 400)
  assert.is(new Set(annotated.map(({ list }) => list)).size, 400)
})

test.run()
