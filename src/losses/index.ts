/**
 * Losses over what models answer: they take logits or scores and know no model.
 *
 * @module kernelgrad/losses
 */
export type { ClickLists } from './click-lists.ts'
export {
  DISTILLATION_LOSSES,
  type DistillationLoss,
  type DistillationOptions,
  distillation,
  kl,
  logitMse,
  marginMse,
  mixed,
  softCrossEntropy,
  softLabels,
  softProbability,
} from './distillation.ts'
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
