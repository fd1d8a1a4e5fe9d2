// The work that every library in a comparison does, as data: JSON that a peer in another process reads.

import { DenseParameter, type Parameter } from '../../src/autograd/index.ts'
import { encoderShape, parseModelConfig } from '../../src/config/index.ts'
import type { Model } from '../../src/models/index.ts'
import { LayerNorm } from '../../src/nn/index.ts'
import { type PaddedRows, paddedRows, type StepModel } from '../models.ts'

/** A training run: the model's shape, weights by formula, and the batches in order. */
export interface TrainWork {
  vocab: number
  positions: number
  dim: number
  heads: number
  layers: number
  hidden: number
  classes: number
  /** The word id that means no token. Its row starts at zero and gets no gradient. */
  pad: number
  mlp: number[]
  /** Categorical tables, in the order in which their rows enter the MLP. */
  tables: { name: string; rows: number; width: number }[]
  /** Columns that enter the MLP as they are, after the tables. */
  numerical: string[]
  /** Every parameter by the notebook's name: `hashed(name, …, scale)` around `centers[name]`, or around 0. */
  parameters: { name: string; shape: number[] }[]
  scale: number
  centers: Record<string, number>
  /** Learning rates of the encoder (names with 'bert.') and of the rest. */
  lr: [number, number]
  weightDecay: number
  /** AdamW's own unless given. */
  eps?: number
  clip: number
  batches: PaddedRows[]
}

const TRAINING = { lr: [1e-4, 1e-3] as [number, number], weightDecay: 0.01, clip: 1, scale: 0.035 }

export function trainWork(built: StepModel, model: Model, steps: number): TrainWork {
  const config = parseModelConfig(built.config, 'the benchmark’s model')
  const encoder = encoderShape(config.pretrained_model_config)
  const norms = new Set<Parameter>()
  for (const [, module] of model.namedModules()) if (module instanceof LayerNorm) norms.add(module.weight)
  const parameters = [...model.namedParameters()]
  const features = Object.entries(config.features_config)
  return {
    vocab: encoder.vocab_size,
    positions: encoder.max_position_embeddings,
    dim: encoder.dim,
    heads: encoder.n_heads,
    layers: encoder.n_layers,
    hidden: encoder.hidden_dim,
    classes: config.num_labels,
    pad: built.pad,
    mlp: (config.mlp_config ?? []).map(layer => layer.hidden_size),
    tables: features.flatMap(([name, feature]) =>
      feature.dtype === 'categorical'
        ? [{ name, rows: feature.vocab_size, width: feature.embedding_size! }]
        : [],
    ),
    numerical: features.flatMap(([name, feature]) => (feature.dtype === 'numerical' ? [name] : [])),
    parameters: parameters.map(([name, parameter]) => ({ name, shape: [...parameter.shape] })),
    centers: Object.fromEntries(parameters.filter(([, p]) => isNorm(p, norms)).map(([name]) => [name, 1])),
    ...TRAINING,
    batches: Array.from({ length: steps }, (_, i) => paddedRows(built, 1 + i)),
  }
}

const isNorm = (parameter: Parameter, norms: Set<Parameter>) =>
  parameter instanceof DenseParameter && norms.has(parameter)
