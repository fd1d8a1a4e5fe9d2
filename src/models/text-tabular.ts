import {
  concatColumns,
  labelCrossEntropy,
  meanPool,
  meanPoolConcat,
  type PackedRows,
  type Part,
  softmax,
  type Tensor,
  tensor,
} from '../autograd/index.ts'
import {
  embeddingTableOf,
  encoderShape,
  type FeatureBatch,
  type ModelConfig,
  namesByDtype,
  ownerOf,
  parseModelConfig,
  type ResolvedMlpLayerConfig,
  type ResolvedModelConfig,
} from '../config/index.ts'
import { Evaluation } from '../metrics/index.ts'
import {
  createEncoder,
  Dropout,
  Embedding,
  type Encoder,
  GELU,
  type Layer,
  LayerNorm,
  Linear,
  ModuleDict,
  ReLU,
  Sequential,
} from '../nn/index.ts'
import { type CheckedBatch, checkBatch } from './check-batch.ts'
import {
  type ClickInputs,
  clickInputs,
  comparableClick,
  lossOf,
  type ModelOutput,
  probabilityNames,
} from './click.ts'
import { Model } from './model.ts'

const ACTIVATIONS: Record<string, () => Layer> = { ReLU: () => new ReLU(), GELU: () => new GELU() }

/** Linear, normalization, activation, dropout per layer, each after the first optional. */
function mlpLayers(
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

/**
 * The click model: a DistilBERT or BERT encoder over the text, mean-pooled, beside categorical embeddings and numerical
 * values, through an MLP to class logits.
 *
 * @example
 * ```ts
 * import { TextTabularModel } from 'kernelgrad'
 *
 * const model = new TextTabularModel({
 *   features_config: {
 *     title: { dtype: 'token_id' },
 *     city: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 },
 *   },
 *   mlp_config: [{ hidden_size: 32, activation_function: 'ReLU' }],
 *   pretrained_model_config: { vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class TextTabularModel extends Model<ClickInputs> {
  static readonly architecture = 'TextTabularModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseModelConfig

  /** The configuration with every default. */
  readonly config: ResolvedModelConfig
  readonly inputs: ClickInputs
  /** The encoder, DistilBERT or BERT. */
  readonly bert: Encoder
  /** A table per feature that owns one, named `<feature>_embedding`. */
  readonly categorical_embeddings: ModuleDict<Embedding>
  /** undefined where the configuration has none. */
  readonly mlp: Sequential | undefined
  /** To the class logits. */
  readonly head: Linear

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: ModelConfig) {
    super()
    const resolved = parseModelConfig(config, 'the model configuration')
    this.config = resolved
    this.inputs = clickInputs(resolved)
    const features = resolved.features_config
    this.bert = createEncoder(resolved.pretrained_model_config)
    const tables: Record<string, Embedding> = {}
    let width =
      encoderShape(resolved.pretrained_model_config).dim + namesByDtype(features, 'numerical').length
    for (const name of namesByDtype(features, 'categorical')) {
      const { owner, vocabSize, embeddingSize } = embeddingTableOf(features, name)
      tables[`${owner}_embedding`] ??= new Embedding(vocabSize, embeddingSize)
      width += embeddingSize
    }
    this.categorical_embeddings = new ModuleDict(tables)
    const { layers, outFeatures } = mlpLayers(width, resolved.mlp_config ?? [])
    this.mlp = resolved.mlp_config ? new Sequential(layers) : undefined
    this.head = new Linear(outFeatures, resolved.num_labels)
  }

  /**
   * Logits [B, C], and the mean cross-entropy where the batch has labels.
   *
   * @throws ConfigError for a batch without text, or without a column that the features name
   */
  forward(batch: FeatureBatch): ModelOutput {
    const checked = this.#checked(batch)
    const { hidden, rows, tabular } = this.#inputs(checked)
    const { logits } = this.#outputs(
      tabular.length ? meanPoolConcat(hidden, rows, tabular) : meanPool(hidden, rows),
    )
    const { labels } = checked
    return { logits, loss: labels && labelCrossEntropy(logits, tensor(this.gpu, labels)) }
  }

  /** [1], the mean cross-entropy. */
  loss(batch: FeatureBatch): Tensor {
    return lossOf(this.forward(batch), 'TextTabularModel')
  }

  /** [B, C], class probabilities. */
  scores(batch: FeatureBatch): Tensor {
    return softmax(this.forward({ ...batch, labels: undefined }).logits)
  }

  metrics(options?: { rows?: number }): Evaluation {
    return new Evaluation(this.config.num_labels, options)
  }

  scoreNames(): (string | null)[] {
    return probabilityNames(this.config.num_labels)
  }

  override comparable(): unknown {
    return comparableClick(this.config)
  }

  override encoders(): Record<string, Encoder> {
    return { bert: this.bert }
  }

  /** Every stage by itself: hidden states [T, H], text embedding [B, H], MLP input and logits. */
  parts(batch: FeatureBatch): { hidden: Tensor; textEmbedding: Tensor; mlpInput: Tensor; logits: Tensor } {
    const { hidden, rows, tabular } = this.#inputs(this.#checked(batch))
    const textEmbedding = meanPool(hidden, rows)
    const mlpInput = tabular.length ? concatColumns([textEmbedding, ...tabular]) : textEmbedding
    return { hidden, textEmbedding, ...this.#outputs(mlpInput) }
  }

  #checked(batch: FeatureBatch): CheckedBatch {
    const { categorical, numerical } = this.inputs
    const columns = { categorical: Object.keys(categorical.columns), numerical: numerical.columns }
    return checkBatch('TextTabularModel', batch, { ...columns, classes: this.config.num_labels })
  }

  /** Hidden states of the text, and the tabular features in the order they are concatenated. */
  #inputs(batch: CheckedBatch): { hidden: Tensor; rows: PackedRows; tabular: Part[] } {
    const features = this.config.features_config
    // Looked up where they are joined, all together.
    const categorical = namesByDtype(features, 'categorical').map(name => ({
      table: this.categorical_embeddings.get(`${ownerOf(features, name)}_embedding`).weight,
      ids: batch.categorical[name]!,
    }))
    const numerical = namesByDtype(features, 'numerical').map(name =>
      tensor(this.gpu, batch.numerical[name]!, [batch.size, 1]),
    )
    return { ...this.bert.forward(batch.text), tabular: [...categorical, ...numerical] }
  }

  #outputs(mlpInput: Tensor): { mlpInput: Tensor; logits: Tensor } {
    return { mlpInput, logits: this.head.forward(this.mlp ? this.mlp.forward(mlpInput) : mlpInput) }
  }
}
