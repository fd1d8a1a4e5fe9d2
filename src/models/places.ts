// What a ranker learned of places.
import { noGrad, scope } from '../autograd/index.ts'
import type { ResolvedRanking } from './ranking-config.ts'
import type { RankingLoss } from './ranking-loss.ts'

/**
 * How much places are looked at beside the first: sigmoids' quotients where the table's logits are of probabilities, exponentials of differences
 * where they are added or put through a softmax, and biases of clicks as they are.
 */
export async function placesLookedAt(
  { propensities, pair_plus: plus }: RankingLoss['fields'],
  { loss, position }: ResolvedRanking,
): Promise<number[] | undefined> {
  if (plus) return [...(await plus.read())]
  if (!propensities) return undefined
  const places = Uint32Array.from({ length: position!.rows }, (_, place) => place)
  const logits = await scope(() => noGrad(() => propensities.forward(places).read()))
  const chance = ['pbm', 'regression_em'].includes(loss.name)
    ? (x: number) => 1 / (1 + Math.exp(-x))
    : Math.exp
  return Array.from(logits, x => chance(x) / chance(logits[0]!))
}
