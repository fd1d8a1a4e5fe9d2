// Commands that `mpiexec` starts as several processes: all do their part, rank 0 speaks and writes.
import { Writable } from 'node:stream'
import { failedTogether, openRanks, type Ranks } from '../ranks/index.ts'
import { InterruptedError } from './interrupt.ts'
import { talkStream } from './say.ts'

/** Runs a command's work on this rank. What one rank meets ends all. */
export async function onRanks(work: (ranks: Ranks) => Promise<void>): Promise<void> {
  const ranks = await openRanks()
  try {
    await work(ranks)
  } catch (error) {
    // A signal has ended all in good order.
    if (!(error instanceof InterruptedError)) throw await failedTogether(ranks, error)
    await ranks.close()
    if (ranks.rank === 0) throw error
    return
  }
  await ranks.close()
}

/** Where a rank tells how it goes: nowhere, unless it is the first. */
export const talkOf = ({ rank }: Ranks, json?: boolean): NodeJS.WriteStream =>
  rank === 0
    ? talkStream(json)
    : (new Writable({ write: (_, _encoding, done) => done() }) as NodeJS.WriteStream)
