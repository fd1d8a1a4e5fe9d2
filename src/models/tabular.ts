// What a click model makes of its table: embeddings of the ids beside the numbers, and the MLP over all of it.
import { concatColumns, type Ids, type Part, type Tensor, tensor } from '../autograd/index.ts'
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
  Sequential,
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

/** What a model of a table alone is made of. */
interface TableStack {
  categorical_embeddings: ModuleDict<Embedding>
  /** undefined where the configuration has none. */
  mlp: Sequential | undefined
  head: Linear
}

/** Embeddings beside the numbers, the MLP over both, and a head of so many outputs, in the order in which their weights are drawn. */
export function tableStack(
  {
    features_config,
    mlp_config,
  }: { features_config: FeaturesConfig; mlp_config: ResolvedMlpLayerConfig[] | null },
  outputs: number,
): TableStack {
  const { tables, width } = embeddingTables(features_config)
  const { layers, outFeatures } = mlpLayers(width, mlp_config ?? [])
  const mlp = mlp_config ? new Sequential(layers) : undefined
  return { categorical_embeddings: tables, mlp, head: new Linear(outFeatures, outputs) }
}

/** [B, outputs] of a table that is checked. */
export function tableForward(
  model: TableStack & { gpu: Module['gpu']; config: { features_config: FeaturesConfig } },
  table: Parameters<typeof tabularParts>[3],
): Tensor {
  const { gpu, config, categorical_embeddings, mlp, head } = model
  const x = concatColumns(tabularParts(gpu, config.features_config, categorical_embeddings, table))
  return head.forward(mlp ? mlp.forward(x) : x)
}
