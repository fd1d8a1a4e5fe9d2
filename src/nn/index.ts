export {
  DistilBertModel,
  Embeddings,
  FFN,
  MultiHeadSelfAttention,
  type TextInput,
  Transformer,
  TransformerBlock,
} from './distilbert.ts'
export {
  Dropout,
  Embedding,
  GELU,
  GELUActivation,
  type Layer,
  LayerNorm,
  Linear,
  ModuleDict,
  ModuleList,
  ReLU,
  Sequential,
} from './layers.ts'
export { Module, type RngState } from './module.ts'
export { chooseNames } from './patterns.ts'
export { DistilBertForSequenceClassification } from './sequence-classification.ts'
export type { LoadResult, StateDict, StateTensor } from './state-dict.ts'
export { type ModelInput, type ModelOutput, TextTabularModel } from './text-tabular.ts'
