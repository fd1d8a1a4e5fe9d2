import { shown } from '../check.ts'
import { ArgumentError, RankError } from '../errors.ts'
import { expectRanks } from './given.ts'
import type { Ranks } from './ranks.ts'

/** What can be compared between ranks. */
export type Agreed = string | number | boolean | null

/**
 * Holds what every rank has to have alike against rank 0's: data, model, seed, version. A rank that differs fails on all ranks, before
 * anything is learned from it.
 *
 * @param values What is compared, by the name it has in messages: `{ seed: 7, 'training data': fingerprint }`.
 * @throws RankError on every rank alike, naming the first rank that differs, what differs, and both values; ArgumentError for values
 * of other kinds, and what are no ranks
 */
export async function agree(ranks: Ranks, values: Readonly<Record<string, Agreed>>): Promise<void> {
  expectRanks('agree: ranks', ranks)
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new ArgumentError(`agree: values is ${shown(values)}, expected an object, as { seed: 7 }`)
  const mine = Object.entries(values).map(([what, value]) => [what, saidOf(what, value)] as const)
  const parts = await ranks.gather(new TextEncoder().encode(JSON.stringify(mine)))
  const all = parts.map(part => new Map(JSON.parse(new TextDecoder().decode(part)) as [string, string][]))
  const [first] = all as [Map<string, string>]
  for (const what of new Set(all.flatMap(said => [...said.keys()])))
    for (const [rank, said] of all.entries()) {
      if (said.get(what) === first.get(what)) continue
      const [theirs, other] = [first, said].map(of => of.get(what) ?? 'nothing')
      throw new RankError(
        `ranks disagree on ${what}: rank 0 has ${theirs}, rank ${rank} has ${other}; start every rank with the same`,
        { rank, speaks: ranks.rank === 0 },
      )
    }
}

/** A value as text that differs where the value does: -0 and NaN have no JSON. */
function saidOf(what: string, value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'boolean' || value === null) return String(value)
  throw new ArgumentError(`agree: ${what} is ${shown(value)}, expected a text, a number, true, false or null`)
}
