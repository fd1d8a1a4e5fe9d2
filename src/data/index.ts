/**
 * Data without a GPU: Parquet in and out, features, batches of typed arrays.
 *
 * @module kernelgrad/data
 */
export type { GroupedIds } from '../ids.ts'
export { type CollateOptions, collate } from './collate.ts'
export { collatePadded, type PaddedBatch, type PaddedIds, type PaddedOptions } from './collate-padded.ts'
export type { TokenLists } from './columns.ts'
export * from './dataset.ts'
export type { Part } from './lists.ts'
export { createLoader, type Loader, type LoaderOptions } from './loader.ts'
export { openParquet, type ParquetFile, readColumns } from './parquet.ts'
export { parquetFiles } from './parquet-files.ts'
export { rebatch } from './rebatch.ts'
export * from './safetensors.ts'
export * from './shuffle.ts'
export type { ParquetSource } from './source.ts'
export { isStreamed, openDataset, type StreamedDataset, type StreamOptions } from './stream.ts'
export { createStreamLoader, type StreamLoader, type StreamLoaderOptions } from './stream-loader.ts'
export type { StreamGroup } from './stream-plan.ts'
export type { FileMark, StreamReading } from './stream-reader.ts'
export { loadTokenizer, type TextTokenizer, type TokenizerLimits } from './tokenizer.ts'
export * from './write.ts'
