// Frozen values as the case folders hold them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Parameter, readParameter } from '../../src/autograd/index.ts'
import type { FeatureBatch, FeaturesConfig, MlpLayerConfig, ModelConfig } from '../../src/config/index.ts'
import { ownerOf } from '../../src/config/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { openSafetensors } from '../../src/data/safetensors-file.ts'
import { DataError } from '../../src/errors.ts'

/** Tensors by name, decoded to numbers. */
export type Tensors = Map<string, { shape: number[]; data: ArrayLike<number> }>

/** All tensors of a file of modest size. */
export async function readTensors(path: string): Promise<Tensors> {
  const file = await openSafetensors(path)
  try {
    const out: Tensors = new Map()
    for (const [name, { shape }] of file.tensors) {
      const data = await file.read(name)
      const plain =
        data instanceof BigInt64Array || data instanceof BigUint64Array ? Array.from(data, Number) : data
      out.set(name, { shape: [...shape], data: plain })
    }
    return out
  } finally {
    await file.close()
  }
}

/** A tensor that must be there. */
export function need(tensors: Tensors, name: string): { shape: number[]; data: ArrayLike<number> } {
  const tensor = tensors.get(name)
  if (!tensor) throw new DataError(`the frozen values hold no tensor '${name}'`)
  return tensor
}

export const hasFile = (folder: string, file: string): boolean => existsSync(join(folder, file))

/** The configuration of a case, in the words its generator uses. */
export interface CaseConfig {
  bert: Record<string, number>
  num_labels: number
  mlp: MlpLayerConfig[] | null
  features: FeaturesConfig
}

/** The same configuration under this library's keys. `dropout` is the encoder's and the MLP's; the baseline's head has twice that. */
export function modelConfig(
  config: CaseConfig,
  architecture: ModelConfig['architecture'],
  dropout = 0,
): ModelConfig {
  const encoder = {
    ...config.bert,
    dropout,
    attention_dropout: dropout,
    seq_classif_dropout: 2 * dropout,
  }
  return {
    architecture,
    features_config: config.features,
    mlp_config: config.mlp?.map(layer => ({ ...layer, dropout_p: dropout })) ?? null,
    num_labels: config.num_labels,
    pretrained_model_config: encoder as unknown as ModelConfig['pretrained_model_config'],
  }
}

/** FeatureBatch `index` of a batches.safetensors. */
export function frozenBatch(
  tensors: Tensors,
  index: number,
  config: CaseConfig,
  keepFirst: boolean,
): FeatureBatch {
  const get = (name: string) => need(tensors, `${index}.${name}`)
  const entries = Object.entries(config.features)
  const categorical = entries.filter(([, { dtype }]) => dtype === 'categorical').map(([name]) => name)
  const numerical = entries.filter(([, { dtype }]) => dtype === 'numerical').map(([name]) => name)
  const rowsOf = (name: string) => {
    const owner = config.features[ownerOf(config.features, name)]!
    return owner.dtype === 'categorical' ? owner.vocab_size : 0
  }
  return collatePadded(
    {
      inputIds: get('input_ids'),
      attentionMask: get('attention_mask'),
      categorical: Object.fromEntries(categorical.map(name => [name, get(name).data])),
      numerical: Object.fromEntries(numerical.map(name => [name, get(name).data])),
      labels: get('labels').data,
    },
    {
      padTokenId: config.bert.pad_token_id!,
      vocabSize: config.bert.vocab_size!,
      categories: Object.fromEntries(categorical.map(name => [name, rowsOf(name)])),
      numLabels: config.num_labels,
      keepFirst,
    },
  )
}

/** Root mean square error over the root mean square movement of a trained parameter. */
export async function drift(
  parameter: Parameter,
  start: ArrayLike<number>,
  final: ArrayLike<number>,
): Promise<number> {
  const values = await readParameter(parameter)
  let error = 0
  let movement = 0
  for (let i = 0; i < values.length; i++) {
    error += (values[i]! - final[i]!) ** 2
    movement += (final[i]! - start[i]!) ** 2
  }
  return Math.sqrt(error / (movement || 1))
}
