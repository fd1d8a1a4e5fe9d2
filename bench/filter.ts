import { UsageError } from '../src/errors.ts'

/**
 * A word that leaves nothing to time is a typing error, not a benchmark without rows.
 * @throws UsageError with the names there are
 */
export function expectSome(filter: string, names: readonly string[], option = '--filter'): void {
  if (names.some(name => name.includes(filter))) return
  throw new UsageError(`${option} '${filter}' matches no row; there are ${[...new Set(names)].join(', ')}`)
}
