/**
 * Serving: rows of programs and requests scored by a saved model; vectors of two-sided models made, kept in files, and ranked.
 *
 * @module kernelgrad/serve
 */
export { type EmbedFiles, type EmbedOptions, embed, embedToFile } from './embed.ts'
export { type TwoSidedModel, towerFingerprint } from './fingerprint.ts'
export type { Part, PartLatency } from './latency.ts'
export { NPassRanker, type RankedLists, type RankListsOptions } from './n-pass.ts'
export { type PassConfig, type PassesConfig, parsePasses, readPasses } from './n-pass-config.ts'
export {
  type CutMeasures,
  type Latency,
  type MeasuredCuts,
  type MeasureOptions,
  measureCuts,
} from './n-pass-measure.ts'
export type { CandidateOptions, Candidates, StageData } from './n-pass-read.ts'
export type { Pass } from './n-pass-stage.ts'
export { writeRanked, writeThrough } from './n-pass-write.ts'
export { type PredictVectorsOptions, predictWithVectors } from './predict.ts'
export type { Query } from './query.ts'
export type { QueueCounts } from './queue.ts'
export { predictRows, type RowScores } from './row-scores.ts'
export type { Field, Row } from './rows.ts'
export { Scorer, type ScorerEvent, type ScorerOptions, type ScorerState } from './scorer.ts'
export type { AdColumns, Features } from './table.ts'
export { type Ranked, type RankOptions, TwinServer, type TwinServerOptions } from './twin-server.ts'
export type { VectorCache, VectorId, VectorStorage } from './vector-cache.ts'
export { readVectors, writeVectors } from './vector-file.ts'
