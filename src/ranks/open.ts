import { endOthersAtExit, findMpi, launched, openMpiRanks, setting, started } from '#mpi'
import { expectNumber, expectOptions, POSITIVE } from '../check.ts'
import { KernelgradError, RankError } from '../errors.ts'
import { expectRanks } from './given.ts'
import { alone, type Ranks } from './ranks.ts'

/** How long ranks wait for each other, in seconds. */
export interface RanksOptions {
  /**
   * Without a sign of life for so long, a rank is lost and all end: it was stopped or killed, or its machine is gone (15). A thread of
   * its own gives these signs, each second: however long a rank computes, compiles or evaluates, it is not lost.
   */
  lost?: number
  /** How long a rank that lives may let the others wait in a call (1800). A longer evaluation by one rank alone needs more. */
  wait?: number
  /** How long all ranks may take to start (24, and a tenth for each of them). */
  start?: number
}

/**
 * This process among those that were started with it, as by `mpiexec -n 4 node train.js`; `alone` where it was started by itself, and then
 * nothing is loaded. The launcher's own MPI library is used, Open MPI's or MPICH's (or one with MPICH's binary interface), through the
 * optional dependency koffi; `KERNELGRAD_MPI` names another: `openmpi`, `mpich`, a path, or `off` for processes that shall not know of each
 * other. `KERNELGRAD_RANKS_LOST`, `_WAIT` and `_START` stand for the options that are not given.
 *
 * Call it once a process, as early as possible, and `close()` at the end. Where a rank is killed, hangs, throws or ends before the others, every call
 * of every rank fails with a RankError that names the rank and the reason; a process that goes on regardless is ended 6 seconds later.
 *
 * @throws ConfigError for wrong options and variables, where the library is missing or two are found; RankError where ranks run different
 * versions, or the launcher cannot be reached
 */
export async function openRanks(options: RanksOptions = {}): Promise<Ranks> {
  try {
    return await join(options)
  } catch (error) {
    // What is wrong on all ranks is said by rank 0, whose end then ends the others; what is wrong on this one alone, by this one.
    if (started()?.rank) await new Promise(resolve => setTimeout(resolve, 3000))
    else endOthersAtExit()
    throw error
  }
}

async function join(options: RanksOptions): Promise<Ranks> {
  expectOptions('openRanks', options, ['lost', 'wait', 'start'])
  const seconds = (name: keyof RanksOptions, otherwise: number) => {
    const variable = `KERNELGRAD_RANKS_${name.toUpperCase()}`
    const [given, text] = [options[name], setting(variable)]
    // As it was written, where it is no number.
    const read = text === undefined || text === '' ? otherwise : Number(text) || (text as unknown as number)
    const value = given ?? read
    expectNumber(given === undefined ? variable : `openRanks: ${name}`, value, POSITIVE)
    return value
  }
  const deadlines = { lost: seconds('lost', 15), wait: seconds('wait', 1800) }
  const by = launched()
  const start = seconds('start', 24 + 0.1 * (by?.size ?? 1))
  if (!by || by.size === 1) return alone
  return openMpiRanks(by, { ...deadlines, start })
}

/**
 * Ends all ranks because of what this one has caught: the others are told the reason. Only one rank's error is to be shown
 * (`RankError.speaks`): rank 0's, or rank 1's where 0 is lost.
 *
 * @returns the error that this rank is to throw
 * @throws ArgumentError for what are no ranks
 */
export async function failedTogether(ranks: Ranks, error: unknown): Promise<unknown> {
  expectRanks('failedTogether: ranks', ranks)
  if (ranks.size === 1 || error instanceof RankError) return error
  const said = error instanceof KernelgradError ? error.message : String(error)
  const told = await ranks.abort(said || 'failed without a reason').catch((told: unknown) => told)
  return ranks.rank === 0 ? error : told
}

export { endOthersAtExit, findMpi, started }
