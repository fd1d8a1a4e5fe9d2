// A rank of its own process: sums until it is told to do something wrong. Arguments: what the ranks do, and who does otherwise.
import koffi from 'koffi'
import { RankError } from '../../src/errors.ts'
import { agree, failedTogether, openRanks, type Ranks } from '../../src/ranks/index.ts'
import { seededValues, sumInOrder } from './ranks.ts'

const [what = 'sums', wrong = '1'] = process.argv.slice(2)
const say = (text: string) => process.stdout.write(`${text}\n`)

/** One rank after the other: sums of several lengths, against an addition in order. */
async function sums(ranks: Ranks): Promise<void> {
  const { rank, size } = ranks
  for (const length of [0, 1, 5, 4097, 40_001, 1_300_021]) {
    const given = Array.from({ length: size }, (_, of) => seededValues(length, of + length))
    const values = Float32Array.from(given[rank] as Float32Array)
    await ranks.sum(values)
    const differ = sumInOrder(given).findIndex((value, i) => !Object.is(value, values[i]))
    if (differ >= 0) throw new Error(`${length}: element ${differ} differs`)
  }
  const part = (from: number, to: number) =>
    new Uint8Array((from * 7919 + to * 104_729) % 300_000).fill(from * 16 + to)
  const gathered = await ranks.gather(part(rank, size))
  const exchanged = await ranks.exchange(Array.from({ length: size }, (_, to) => part(rank, to)))
  for (let from = 0; from < size; from++)
    for (const [got, want] of [
      [gathered[from], part(from, size)],
      [exchanged[from], part(from, rank)],
    ])
      if (Buffer.compare(got as Uint8Array, want as Uint8Array))
        throw new Error(`what rank ${from} sent is not what came`)
  await agree(ranks, { seed: 7 })
  // A buffer that other threads see, and calls that are under way at once.
  const shared = new Float32Array(new SharedArrayBuffer(4 * 70_000)).fill(rank)
  await Promise.all([ranks.sum(shared), ranks.barrier(), ranks.sum(shared.subarray(0, 3))])
  if (shared[69_999] !== (size * (size - 1)) / 2) throw new Error('shared memory was not summed')
  await ranks.close()
  say(`rank ${rank} of ${size}: ok`)
}

/** The first bytes of the functions that MPI's transports would write jumps into, under the feet of other threads. */
function libcBytes(): string {
  if (process.platform !== 'linux') return ''
  const libc = koffi.load('libc.so.6')
  const functions = ['sbrk', 'brk', 'munmap', 'mmap', 'madvise', 'shmat']
  return functions.map(name => Buffer.from(koffi.view(libc.symbol(name), 12)).toString('hex')).join()
}

/** Sums without an end, and says once that it does. */
async function forever(ranks: Ranks): Promise<void> {
  const values = new Float32Array(200_003)
  for (let round = 0; ; round++) {
    await ranks.sum(values)
    if (round === 3) say(`rank ${ranks.rank} pid ${process.pid}`)
  }
}

const BODIES: Record<string, (ranks: Ranks) => Promise<void>> = {
  sums,
  forever,
  async throws(ranks) {
    await ranks.barrier()
    if (ranks.rank === Number(wrong)) throw new RangeError('no room for the table')
    await ranks.barrier()
  },
  async leaves(ranks) {
    await ranks.barrier()
    if (ranks.rank === Number(wrong)) process.exit(0)
    await ranks.barrier()
  },
  async lengths(ranks) {
    await ranks.sum(new Float32Array(ranks.rank === Number(wrong) ? 9 : 10))
  },
  async operations(ranks) {
    await (ranks.rank === Number(wrong) ? ranks.gather(new Uint8Array(3)) : ranks.barrier())
  },
  async disagrees(ranks) {
    await agree(ranks, { seed: ranks.rank === Number(wrong) ? 8 : 7 })
  },
  /** Busy for longer than a silent rank would be borne. */
  async busy(ranks) {
    if (ranks.rank === Number(wrong)) for (const end = Date.now() + 6000; Date.now() < end; );
    await sums(ranks)
  },
  async late(ranks) {
    if (ranks.rank === Number(wrong)) await new Promise(resolve => setTimeout(resolve, 600_000))
    await ranks.barrier()
  },
  /** More memory than V8 gives. */
  async full(ranks) {
    await ranks.barrier()
    const kept: number[][] = []
    if (ranks.rank === Number(wrong))
      for (;;) kept.push(Array.from({ length: 100_000 }, (_, i) => i + kept.length))
    await ranks.barrier()
  },
}

let ranks: Ranks | undefined
const before = libcBytes()
try {
  ranks = await openRanks()
  if (libcBytes() !== before) throw new Error('MPI has changed functions of libc')
  await BODIES[what]?.(ranks)
} catch (error) {
  const told = ranks ? await failedTogether(ranks, error) : error
  if (!(told instanceof RankError) || told.speaks) process.stderr.write(`error: ${(told as Error).message}\n`)
  process.exitCode = 1
}
