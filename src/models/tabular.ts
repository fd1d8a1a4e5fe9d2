// What a click model makes of its table: embeddings of the ids beside the numbers, and the MLP over all of it.
import { type Ids, type Part, tensor } from '../autograd/index.ts'
import {
  embeddingTableOf,
  type FeaturesConfig,
  namesByDtype,
  ownerOf,
  type ResolvedMlpLayerConfig,
} from '../config/index.ts'
import {
  Dropout,
  Embedding,
  GELU,
  type Layer,
  LayerNorm,
  Linear,
  type Module,
  ModuleDict,
  ReLU,
} from '../nn/index.ts'

const ACTIVATIONS: Record<string, () => Layer> = { ReLU: () => new ReLU(), GELU: () => new GELU() }

/** Linear, normalization, activation, dropout per layer, each after the first optional. */
export function mlpLayers(
  inFeatures: number,
  config: ResolvedMlpLayerConfig[],
): { layers: Layer[]; outFeatures: number } {
  const layers: Layer[] = []
  let width = inFeatures
  for (const layer of config) {
    layers.push(new Linear(width, layer.hidden_size))
    if (layer.normalization_function) {
      layers.push(new LayerNorm(layer.hidden_size, { eps: layer.normalization_function_kwargs?.eps }))
    }
    if (layer.activation_function) layers.push(ACTIVATIONS[layer.activation_function]!())
    if (layer.dropout_p > 0) layers.push(new Dropout(layer.dropout_p))
    width = layer.hidden_size
  }
  return { layers, outFeatures: width }
}

/** A table per feature that owns one, named `<feature>_embedding`, and the columns that the whole table comes to. */
export function embeddingTables(features: FeaturesConfig): {
  tables: ModuleDict<Embedding>
  width: number
} {
  const tables: Record<string, Embedding> = {}
  let width = namesByDtype(features, 'numerical').length
  for (const name of namesByDtype(features, 'categorical')) {
    const { owner, vocabSize, embeddingSize } = embeddingTableOf(features, name)
    tables[`${owner}_embedding`] ??= new Embedding(vocabSize, embeddingSize)
    width += embeddingSize
  }
  return { tables: new ModuleDict(tables), width }
}

/** The table's columns in the order they are concatenated: lookups, which are done where they are joined, then numbers [B, 1]. */
export function tabularParts(
  gpu: Module['gpu'],
  features: FeaturesConfig,
  tables: ModuleDict<Embedding>,
  batch: { size: number; categorical: Record<string, Ids>; numerical: Record<string, Float32Array> },
): Part[] {
  const categorical = namesByDtype(features, 'categorical').map(name => ({
    table: tables.get(`${ownerOf(features, name)}_embedding`).weight,
    ids: batch.categorical[name]!,
  }))
  const numerical = namesByDtype(features, 'numerical').map(name =>
    tensor(gpu, batch.numerical[name]!, [batch.size, 1]),
  )
  return [...categorical, ...numerical]
}
