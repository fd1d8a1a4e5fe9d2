/**
 * kernelgrad: handwritten WGSL kernels, a small tape autograd and nn modules, for training on any WebGPU device. The
 * subpaths `kernelgrad/gpu`, `/kernels`, `/reference`, `/autograd`, `/losses`, `/nn`, `/optim`, `/data`, `/datasets`, `/train` and `/testing` hold the rooms one by
 * one; this entry is what most programs need.
 *
 * @module kernelgrad
 */
import './autograd/methods.ts'

export * from './autograd/index.ts'
export type { TensorMethods } from './autograd/methods.ts'
export * from './config/index.ts'
export { collate, collatePadded, type Dataset, loadDataset, openParquet } from './data/index.ts'
export * from './errors.ts'
export { Gpu, type GpuOptions, openGpu } from './gpu/index.ts'
export * from './inputs.ts'
export * as losses from './losses/index.ts'
export { Evaluation, ListEvaluation, type Metric } from './metrics/index.ts'
export {
  bytesToVectors,
  CrossEncoder,
  createModel,
  DetextModel,
  DistilBertForSequenceClassification,
  isTwoSided,
  LateFusionModel,
  Model,
  type ModelConfiguration,
  registerModel,
  TabularModel,
  TabularRanker,
  TextTabularModel,
  TwinModel,
  type TwoSided,
  vectorsToBytes,
} from './models/index.ts'
export * as nn from './nn/index.ts'
export { Module } from './nn/index.ts'
export {
  Adam,
  type AdamOptions,
  AdamW,
  type AdamWOptions,
  GradScaler,
  type GradScalerOptions,
  type GradScalerState,
  Optimizer,
  type ParameterGroup,
  RowwiseAdagrad,
  type RowwiseAdagradOptions,
  SGD,
  type SGDOptions,
  schedule,
} from './optim/index.ts'
export { type GradcheckInput, type GradcheckOptions, gradcheck, type PlainFunction } from './testing/index.ts'
export {
  evaluate,
  fromPretrained,
  loadModel,
  predict,
  saveModel,
  Trainer,
  type TrainerCallback,
  type TrainerOptions,
  type TrainerState,
} from './train/index.ts'
