/**
 * Modules under PyTorch's names: layers, and encoders over packed tokens.
 *
 * @module kernelgrad/nn
 */
export {
  ELU,
  Hardtanh,
  Identity,
  Lambda,
  LeakyReLU,
  LogSoftmax,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from './activations.ts'
export { BertLayer, BertModel, BertPooler } from './bert.ts'
export { Buffer, Counter } from './buffers.ts'
export { Combiner, type CombinerOptions } from './combiner.ts'
export { Conv1dMax } from './conv1d-max.ts'
export {
  DistilBertModel,
  FFN,
  MultiHeadSelfAttention,
  TransformerBlock,
} from './distilbert.ts'
export { type BagMode, EmbeddingBag } from './embedding-bag.ts'
export { Embeddings, type EncoderOutput, encoderInit, LayerStack } from './encoder.ts'
export { createEncoder, type Encoder } from './encoders.ts'
export {
  Dropout,
  Embedding,
  GELU,
  GELUActivation,
  type Layer,
  LayerNorm,
  Linear,
  type LinearOptions,
  ModuleDict,
  ModuleList,
  ReLU,
  Sequential,
} from './layers.ts'
export { LSTM, type LSTMOptions, type LSTMOutput } from './lstm.ts'
export { Module, type RngState } from './module.ts'
export { BatchNorm1d, type BatchNormOptions, RMSNorm, type RMSNormOptions } from './normalization.ts'
export { chooseNames } from './patterns.ts'
export type { LoadResult, StateDict, StateTensor } from './state-dict.ts'
