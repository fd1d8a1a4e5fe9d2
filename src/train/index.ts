export {
  CONFIG_FILE,
  checkWeights,
  loadModel,
  loadWeights,
  prepareOutputFolder,
  saveModel,
  saveWeights,
  WEIGHTS_FILE,
} from './checkpoint.ts'
export * from './metrics.ts'
export { type ClickModel, collateOptions, createModel, encoderOf, readOptions, tokenizerOf } from './model.ts'
export { type GroupSettings, parameterGroups } from './parameter-groups.ts'
export { clickProbability, type PredictOptions, predict } from './predict.ts'
export {
  checkEncoder,
  fromPretrained,
  loadEncoder,
  type PretrainedOptions,
  pretrainedConfig,
  savePretrained,
} from './pretrained.ts'
export {
  evaluate,
  type LogEntry,
  metricsOf,
  Trainer,
  type TrainerOptions,
  type TrainerProgress,
  type TrainerState,
} from './trainer.ts'
export { tune } from './tune.ts'
