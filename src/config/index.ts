export {
  type BertConfig,
  type DistilBertConfig,
  type EncoderConfig,
  type EncoderShape,
  encoderShape,
  isBert,
  parseEncoderConfig,
  parseSavedEncoder,
  type ResolvedBertConfig,
  type ResolvedDistilBertConfig,
  type ResolvedEncoderConfig,
} from './encoder.ts'
export {
  type FeatureSizes,
  fillSizes,
  type PreparedSizes,
  parseFeatureSizes,
  parseSizes,
} from './feature-sizes.ts'
export * from './features.ts'
export type { FusionConfig } from './fusion.ts'
export { FUSION_METHODS, type FusionMethod } from './fusion-methods.ts'
export { type LabelConfig, labelInputs } from './label.ts'
export {
  type MlpLayerConfig,
  type ModelConfig,
  parseFeaturesConfig,
  parseModelConfig,
  parseTabularConfig,
  type ResolvedMlpLayerConfig,
  type ResolvedModelConfig,
  type ResolvedTabularConfig,
  type TabularConfig,
} from './model.ts'
export {
  type DistillationConfig,
  parseTrainerConfig,
  parseTrainingConfig,
  type ResolvedTrainerConfig,
  type ResolvedTrainingConfig,
  type StageConfig,
  type TrainerConfig,
  type TrainingConfig,
} from './training.ts'
