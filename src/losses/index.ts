/**
 * Losses over what models answer: they take logits or scores and know no model.
 *
 * @module kernelgrad/losses
 */
export type { ClickLists } from './click-lists.ts'
export { type PairDebiasOptions, type PairTables, pairDebias } from './pair-debias.ts'
export {
  type LambdaRankOptions,
  type ListwiseOptions,
  lambdaRank,
  listNet,
  listwise,
  listwiseNormed,
  pairwise,
  pointwise,
  pointwiseLists,
} from './ranking.ts'
export * from './unbiased.ts'
