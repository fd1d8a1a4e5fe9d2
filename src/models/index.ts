/**
 * Models: what each reads, its loss, scores and metrics, under the name that configurations give it.
 *
 * @module kernelgrad/models
 */
export { ClassModel } from './class-model.ts'
export type { ClickInputs, ModelOutput } from './click.ts'
export {
  CrossEncoder,
  type CrossEncoderBatch,
  type CrossEncoderInputs,
  type CrossEncoderParts,
} from './cross-encoder.ts'
export type {
  CrossEncoderConfig,
  CrossEncoderHead,
  CrossEncoderMlm,
  ResolvedCrossEncoderConfig,
} from './cross-encoder-config.ts'
export type { CosineCrossing, Crossed, Crossing, CrossingConfig, ResidualCrossing } from './crossing.ts'
export type {
  DetextBert,
  DetextCnn,
  DetextConfig,
  DetextEncoder,
  DetextLoss,
  DetextLstm,
  DetextWords,
  ResolvedDetextConfig,
  Similarity,
} from './detext/config.ts'
export { DetextModel, type DetextParts } from './detext.ts'
export {
  type LateFusionConfig,
  type LateFusionInputs,
  LateFusionModel,
  type ResolvedLateFusionConfig,
} from './late-fusion.ts'
export { DistilBertForMaskedLM, type MaskedLMConfig, type MaskedLMInputs } from './masked-lm.ts'
export { Model, type ModelConfiguration } from './model.ts'
export type {
  ListsConfig,
  PositionConfig,
  RankingConfig,
  RankingInputs,
  RankingLossConfig,
  RankingLossName,
  ResolvedRanking,
} from './ranking-config.ts'
export type { RankingBatch } from './ranking-loss.ts'
export { readOptions, textInputs, tokenizerOf } from './reading.ts'
export {
  architectures,
  createModel,
  type ModelClass,
  parseConfiguration,
  parseRunConfig,
  type ResolvedRunConfig,
  registerModel,
  type StandardSchema,
} from './registry.ts'
export { DistilBertForSequenceClassification, type TextOnlyInputs } from './sequence-classification.ts'
export { type TabularInputs, TabularModel } from './table.ts'
export {
  type ResolvedTabularRankerConfig,
  TabularRanker,
  type TabularRankerConfig,
  type TabularRankerInputs,
} from './tabular-ranker.ts'
export { TextTabularModel } from './text-tabular.ts'
export { type ResolvedTwinConfig, type TwinConfig, type TwinInputs, TwinModel } from './twin.ts'
export { isTwoSided, type SideName, type Sides, type TableBatch, type TwoSided } from './two-sided.ts'
export { bytesToVectors, vectorsToBytes } from './vector-bytes.ts'
