// A page is one process.
import { ConfigError } from '../errors.ts'
import type { Launched } from './launcher.ts'
import type { MpiFound } from './mpi-node.ts'
import type { Ranks } from './ranks.ts'

const NONE = 'ranks: a browser has no MPI; train on several machines with Node'

export const launched = (): Launched | undefined => undefined

export const started = (): Launched | undefined => undefined

export const endOthersAtExit = (): void => {}

export const setting = (): string | undefined => undefined

export const findMpi = async (): Promise<MpiFound> => ({ libraries: [], launched: undefined, trouble: NONE })

export async function openMpiRanks(): Promise<Ranks> {
  throw new ConfigError(NONE)
}
