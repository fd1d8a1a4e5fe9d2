// Classification metrics as scikit-learn computes them, over whole evaluation sets: O(n log n), sums in float64.
export { type BinaryMetrics, binaryMetrics, ScoreAccumulator } from './accumulator.ts'
export { type CalibrationCurve, calibrationRatio, expectedCalibrationError } from './calibration.ts'
export type { Numbers } from './check.ts'
export type { Curves } from './curves.ts'
export { clickProbability, Evaluation, type EvaluationMetrics, metricsOf } from './evaluation.ts'
export type { Better, Figure } from './figures.ts'
export { formatMetrics } from './format.ts'
export { type GroupedAuc, groupedAuc } from './grouped.ts'
export { FusedEvaluation, type FusedEvaluationOptions, fitHeads, fuseHeads } from './head-fusion.ts'
export type { ListCurves, ListsPart } from './list-curves.ts'
export {
  type JudgedLists,
  LIST_LOSSES,
  ListEvaluation,
  type ListEvaluationOptions,
  type ListLoss,
} from './list-evaluation.ts'
export { accuracy, brier, logLoss, logLossMulti, normalizedEntropy } from './loss.ts'
export type { Metric } from './metric.ts'
export {
  type CutFigures,
  finalNdcg,
  lastScored,
  type PassOrder,
  recallOfOwnBest,
  recallOfPasses,
  smallestCut,
  startPasses,
  takePass,
} from './n-pass.ts'
export { prAuc, rocAuc } from './ranking.ts'
export {
  averagePrecision,
  baiduFigures,
  type DcgOptions,
  dcg,
  err,
  type Gain,
  hitAt,
  type ListMean,
  meanByGroup,
  meanOfLists,
  mrr,
  ndcg,
  pnr,
  precisionAt,
  type Ranked,
  rankLists,
  recallAt,
  type Undefined,
} from './ranking-lists.ts'
export type { Thresholds } from './thresholds.ts'
