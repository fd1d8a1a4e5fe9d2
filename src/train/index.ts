/**
 * Training, evaluation and prediction of click models; metrics, checkpoints and reports. Files are those of the disk in
 * Node, and of the site's private file system in a browser.
 *
 * @module kernelgrad/train
 */

export * from '../metrics/index.ts'
export { checkBestMetric } from './best-metric.ts'
export { BrokenLossError } from './broken-loss.ts'
export type { CallbackContext, TrainerCallback, TrainerControl } from './callbacks.ts'
export {
  CONFIG_FILE,
  checkWeights,
  loadModel,
  loadWeights,
  saveModel,
  saveWeights,
} from './checkpoint.ts'
export { lockOutputFolder, prepareOutputFolder, WEIGHTS_FILE } from './checkpoint-folder.ts'
export { type EvaluateOptions, evaluate } from './evaluate.ts'
export type { Importance } from './explain/importance.ts'
export type { Slice, Slices } from './explain/slices.ts'
export { type Fingerprint, type Fingerprints, fingerprints } from './fingerprint.ts'
export { type GroupSettings, parameterGroups, type TrainedGroup } from './parameter-groups.ts'
export { type PredictOptions, predict, predictStream, type Scored } from './predict.ts'
export {
  checkEncoder,
  fromPretrained,
  loadEncoder,
  type PretrainedOptions,
  pretrainedConfig,
  savePretrained,
} from './pretrained.ts'
export { type RecoveryOptions, trainWithRecovery } from './recovery.ts'
export * from './report/index.ts'
export type { StageData } from './stage-data.ts'
export { type TeacherPrint, trainingReads } from './teacher.ts'
export {
  evaluateTeachers,
  type TeacherEvaluation,
  type TeacherEvaluationOptions,
} from './teacher-evaluation.ts'
export { Trainer } from './trainer.ts'
export type { TrainerOptions, TrainerProgress, TrainOptions } from './trainer-options.ts'
export type { KernelTuning, LogEntry, TrainerState, TrainerTimings } from './trainer-state.ts'
export { tune } from './tune.ts'
