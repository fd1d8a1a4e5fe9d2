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
export { type EvaluateOptions, Evaluation, type EvaluationMetrics, evaluate, metricsOf } from './evaluate.ts'
export * from './metrics/index.ts'
export { type ClickModel, collateOptions, createModel, readOptions } from './model.ts'
export { clickProbability, type PredictOptions, predict, predictStream, type Scored } from './predict.ts'
export * from './report/index.ts'
export {
  type LogEntry,
  parameterGroups,
  Trainer,
  type TrainerOptions,
  type TrainerProgress,
  type TrainerState,
} from './trainer.ts'
export { tune } from './tune.ts'
