// Ranks inside one process: what they move and add, to the bit, and how they end when one fails.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ArgumentError, ConfigError, KernelgradError, RankError, ShapeError } from '../../src/errors.ts'
import { agree, alone, failedTogether, localRanks, type Ranks, runLocal } from '../../src/ranks/index.ts'
import { seededValues, sumInOrder } from '../support/ranks.ts'

const SIZES = [1, 2, 3, 4, 7]
// Through the short way and the long one, with and without a remainder, and fewer values than ranks.
const LENGTHS = [0, 1, 2, 5, 1000, 16384, 40_001]

test('sums have the bits of an addition in the order of the ranks, on every rank', async () => {
  for (const size of SIZES)
    for (const length of LENGTHS) {
      const given = Array.from({ length: size }, (_, rank) => seededValues(length, rank))
      const got = await runLocal(size, async ranks => {
        const values = Float32Array.from(given[ranks.rank] as Float32Array)
        await ranks.sum(values)
        return values
      })
      for (const values of got) assert.equal(bits(values), bits(sumInOrder(given)), `${size} x ${length}`)
    }
})

test('sums are the same however the values are cut into calls, and calls may be under way at once', async () => {
  const length = 50_021
  const given = Array.from({ length: 3 }, (_, rank) => seededValues(length, rank))
  const got = await runLocal(3, async ranks => {
    const values = Float32Array.from(given[ranks.rank] as Float32Array)
    const cuts = [0, 1, 77, 20_000, length]
    await Promise.all(cuts.slice(1).map((end, at) => ranks.sum(values.subarray(cuts[at], end))))
    return values
  })
  for (const values of got) assert.equal(bits(values), bits(sumInOrder(given)))
})

test('a sum moves what a ring would', async () => {
  const moved = await runLocal(4, async ranks => {
    await ranks.sum(new Float32Array(1_000_000))
    return { ...ranks.moved }
  })
  // 2 (size - 1) / size of 4 MB, each way.
  for (const one of moved) assert.equal(one, { sent: 6_000_000, received: 6_000_000 })
})

test('gather and exchange hand out parts of any length by rank', async () => {
  const part = (from: number, to: number) =>
    Uint8Array.from({ length: (from * 3 + to) % 5 }, () => from * 16 + to)
  for (const size of SIZES) {
    const got = await runLocal(size, async ranks => {
      const gathered = await ranks.gather(part(ranks.rank, 9))
      const exchanged = await ranks.exchange(Array.from({ length: size }, (_, to) => part(ranks.rank, to)))
      await ranks.barrier()
      await ranks.close()
      return { gathered, exchanged }
    })
    got.forEach(({ gathered, exchanged }, to) => {
      assert.equal(
        gathered,
        Array.from({ length: size }, (_, from) => part(from, 9)),
      )
      assert.equal(
        exchanged,
        Array.from({ length: size }, (_, from) => part(from, to)),
      )
    })
  }
})

test('what a rank got is its own: it may change it, and what it gave', async () => {
  const got = await runLocal(3, async ranks => {
    const bytes = Uint8Array.of(ranks.rank)
    const parts = await ranks.gather(bytes)
    bytes[0] = 99
    for (const [from, part] of parts.entries()) if (from !== ranks.rank) part[0] = 10 + (part[0] as number)
    await ranks.barrier()
    return parts.map(part => part[0])
  })
  assert.equal(got, [
    [99, 11, 12],
    [10, 99, 12],
    [10, 11, 99],
  ])
})

test('nobody passes a barrier before all have come', async () => {
  const order: string[] = []
  const [first, second] = localRanks(2) as [Ranks, Ranks]
  const passed = first.barrier().then(() => order.push('first passed'))
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
  order.push('second comes')
  await Promise.all([passed, second.barrier()])
  assert.equal(order, ['second comes', 'first passed'])
})

/** What each rank fails with. */
async function failures(size: number, body: (ranks: Ranks) => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(
    localRanks(size).map(ranks =>
      body(ranks).then(
        () => undefined,
        error => error,
      ),
    ),
  )
}

const rankErrors = (errors: unknown[], rank: number, message: string) => {
  for (const error of errors) {
    assert.instance(error, RankError)
    assert.equal((error as RankError).message, message)
    assert.is((error as RankError).rank, rank)
  }
}

test('different lengths and different operations are refused on every rank, by rank', async () => {
  const rule = 'every rank makes the same calls in the same order'
  for (const [less, more] of [
    [3, 4],
    [0, 1],
    [40_000, 40_001],
  ] as const)
    rankErrors(
      await failures(3, ranks => ranks.sum(new Float32Array(ranks.rank === 2 ? less : more))),
      2,
      `sum: rank 0 gives ${more} values, rank 2 gives ${less}; ${rule}`,
    )
  const other = (ranks: Ranks) => (ranks.rank === 1 ? ranks.gather(new Uint8Array(4)) : ranks.barrier())
  rankErrors(await failures(3, other), 1, `rank 0 calls barrier, rank 1 calls gather; ${rule}`)
})

test('an abort ends calls under way and calls to come, everywhere, with the rank and its reason', async () => {
  const all = localRanks(3)
  const [first, second, third] = all as [Ranks, Ranks, Ranks]
  const waiting = [first.barrier(), second.sum(new Float32Array(9))].map(call => call.catch(error => error))
  const own = await third.abort('no room for the table').catch(error => error)
  const later = await Promise.all(all.map(ranks => ranks.gather(new Uint8Array(1)).catch(error => error)))
  rankErrors([...(await Promise.all(waiting)), own, ...later], 2, 'rank 2: no room for the table')
})

test('a rank that throws ends the others; one that ends while others wait for it is named', async () => {
  const seen: unknown[] = []
  const thrown = new DataView(new ArrayBuffer(1))
  const failed = runLocal(3, async ranks => {
    if (ranks.rank === 1) return thrown.getInt8(1)
    return ranks.barrier().catch(error => {
      seen.push(error)
      throw error
    })
  })
  const error = await failed.catch(error => error)
  assert.instance(error, RangeError)
  rankErrors(seen, 1, `rank 1: ${error.message}`)

  const left = await runLocal(2, async ranks => (ranks.rank === 1 ? 7 : ranks.barrier())).catch(
    error => error,
  )
  rankErrors([left], 1, 'rank 1 has ended, and rank 0 waits for it in barrier')
  const closed: unknown = await runLocal(2, async ranks => {
    await ranks.close()
    await ranks.barrier()
  }).catch(error => error)
  assert.match((closed as Error).message, /^ranks: rank \d calls barrier after close\(\)$/)
})

test('what cannot be right is refused before anything is moved', async () => {
  for (const size of [0, -1, 1.5, Number.NaN, undefined, '2', null, 1e12]) {
    assert.throws(
      () => localRanks(size as number),
      (error: unknown) => error instanceof ConfigError,
    )
    const error = await runLocal(size as number, async () => 1).catch(error => error)
    assert.instance(error, ConfigError)
  }
  assert.instance(await runLocal(2, 7 as never).catch(error => error), ArgumentError)
  const gone = new Uint8Array(4)
  structuredClone(gone, { transfer: [gone.buffer] })
  for (const ranks of [alone, ...localRanks(1)]) {
    const wrong: [() => Promise<unknown>, new (message: string) => KernelgradError][] = [
      [() => ranks.sum([1, 2] as never), ArgumentError],
      [() => ranks.sum(new Float64Array(2) as never), ArgumentError],
      [() => ranks.sum(undefined as never), ArgumentError],
      [() => ranks.gather(new Float32Array(2) as never), ArgumentError],
      [() => ranks.gather('text' as never), ArgumentError],
      [() => ranks.gather(gone), ArgumentError],
      [() => ranks.exchange(new Uint8Array(2) as never), ArgumentError],
      [() => ranks.exchange([]), ShapeError],
      [() => ranks.exchange([new Uint8Array(1), new Uint8Array(1)]), ShapeError],
      // biome-ignore lint/suspicious/noSparseArray: a part that was forgotten
      [() => ranks.exchange([,] as never), ArgumentError],
      [() => ranks.abort('' as never), ArgumentError],
      [() => ranks.abort(undefined as never), ArgumentError],
    ]
    for (const [call, kind] of wrong) {
      const error = await call().catch(error => error)
      assert.instance(error, kind)
      assert.match((error as Error).message, /expected/)
    }
    await ranks.barrier()
  }
})

test('one process alone gets back what it gave', async () => {
  const values = Float32Array.of(1, 2)
  await alone.sum(values)
  assert.equal(values, Float32Array.of(1, 2))
  const bytes = Uint8Array.of(3)
  assert.is((await alone.gather(bytes))[0], bytes)
  assert.is((await alone.exchange([bytes]))[0], bytes)
  await alone.barrier()
  assert.equal(alone.moved, { sent: 0, received: 0 })
  const error = await alone.abort('enough').catch(error => error)
  assert.instance(error, KernelgradError)
  assert.is(error.message, 'enough')
})

test('ranks that do not have the same are told what differs, and both values', async () => {
  const values = { seed: 7, model: 'a1', 'training data': '12 rows', resumed: false, folder: null }
  await runLocal(4, ranks => agree(ranks, values))
  await runLocal(2, ranks => agree(ranks, ranks.rank ? { model: 'a1', seed: 7 } : { seed: 7, model: 'a1' }))
  await agree(alone, values)
  const cases: [Record<string, string | number | boolean | null>, string][] = [
    [{ ...values, seed: 8 }, 'seed: rank 0 has 7, rank 2 has 8'],
    [{ ...values, seed: -0 }, 'seed: rank 0 has 7, rank 2 has -0'],
    [{ ...values, seed: '7' }, "seed: rank 0 has 7, rank 2 has '7'"],
    [{ ...values, 'training data': '13 rows' }, "training data: rank 0 has '12 rows', rank 2 has '13 rows'"],
    [{ ...values, folder: 'b' }, "folder: rank 0 has null, rank 2 has 'b'"],
    [{ ...values, more: 1 }, 'more: rank 0 has nothing, rank 2 has 1'],
  ]
  for (const [theirs, says] of cases)
    rankErrors(
      await failures(3, ranks => agree(ranks, ranks.rank === 2 ? theirs : values)),
      2,
      `ranks disagree on ${says}; start every rank with the same`,
    )
  for (const wrong of [undefined, null, 7, ['seed']])
    assert.instance(await agree(alone, wrong as never).catch(error => error), ArgumentError)
  for (const wrong of [undefined, {}, [1], () => 1])
    assert.instance(await agree(alone, { seed: wrong } as never).catch(error => error), ArgumentError)
})

/** -0 and 0 differ, and NaN equals itself. */
const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)

test('what are no ranks is refused by agree and failedTogether', async () => {
  for (const wrong of [undefined, null, 2, {}, { size: 2 }, [], { ...localRanks(1)[0], size: 0 }])
    for (const [name, call] of [
      ['agree', () => agree(wrong as never, { seed: 1 })],
      ['failedTogether', () => failedTogether(wrong as never, new Error('x'))],
    ] as const) {
      const error = await (call() as Promise<unknown>).catch((thrown: Error) => thrown)
      assert.match(String((error as Error)?.message), `${name}: ranks`)
    }
})

test.run()
