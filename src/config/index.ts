export * from './features.ts'
export {
  type EncoderConfig,
  type MlpLayerConfig,
  type ModelConfig,
  parseEncoderConfig,
  parseFeaturesConfig,
  parseModelConfig,
  type ResolvedEncoderConfig,
  type ResolvedMlpLayerConfig,
  type ResolvedModelConfig,
} from './model.ts'
export {
  parseTrainerConfig,
  parseTrainingConfig,
  type ResolvedTrainerConfig,
  type ResolvedTrainingConfig,
  type StageConfig,
  type TrainerConfig,
  type TrainingConfig,
} from './training.ts'
