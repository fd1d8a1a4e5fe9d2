/**
 * Vectors of two-sided models: made, kept in files, and served.
 *
 * @module kernelgrad/serve
 */
export { type EmbedOptions, embed, embedToFile } from './embed.ts'
export { type TwoSidedModel, towerFingerprint } from './fingerprint.ts'
export type { Part, PartLatency } from './latency.ts'
export { type PredictVectorsOptions, predictWithVectors } from './predict.ts'
export type { Query } from './query.ts'
export type { AdColumns, Features } from './table.ts'
export { type Ranked, type RankOptions, TwinServer, type TwinServerOptions } from './twin-server.ts'
export type { VectorCache, VectorId, VectorStorage } from './vector-cache.ts'
export { readVectors, writeVectors } from './vector-file.ts'
