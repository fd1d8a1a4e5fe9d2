/**
 * Baidu-ULTR: search sessions with clicks, and documents judged by experts. Files in and out, and files of the same format with a known truth.
 *
 * @module kernelgrad/ultr
 */
export { readAnnotated, writeAnnotated } from './annotated.ts'
export { frequencyOf, type UltrAnnotated, type UltrDocument, type UltrSession } from './format.ts'
export { joinTexts, ULTR_IDS, ULTR_VOCAB_SIZE, type UltrSpecialIds } from './join.ts'
export type { ReadUltrOptions } from './lines.ts'
export { type PreprocessUltrOptions, type PreprocessUltrResult, preprocessUltr } from './preprocess.ts'
export { readSessions } from './sessions.ts'
export { type UltrWorld, type UltrWorldOptions, ultrWorld, writeUltrWorld } from './world.ts'
export { writeSessions } from './write.ts'
