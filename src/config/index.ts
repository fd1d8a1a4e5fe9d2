export * from '../data/config.ts'
export * from '../data/features.ts'
