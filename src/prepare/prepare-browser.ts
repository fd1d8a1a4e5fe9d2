import { ConfigError } from '../errors.ts'
import type { PrepareResult, ResolvedPrepareOptions } from './options.ts'

/** A page takes what was learned, and has no DuckDB to learn with. */
export async function prepare({ output }: ResolvedPrepareOptions): Promise<PrepareResult> {
  throw new ConfigError(
    `prepareTable: ${output} cannot be made in a browser, expected Node; openTable and learnTable run in both`,
  )
}
