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
  encoderShape,
  type FeatureBatch,
  type ModelConfig,
  parseModelConfig,
  type ResolvedModelConfig,
} from '../config/index.ts'
import { Evaluation } from '../metrics/index.ts'
import {
  createEncoder,
  type Embedding,
  type Encoder,
  Linear,
  type ModuleDict,
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
import { embeddingTables, mlpLayers, tabularParts } from './tabular.ts'

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
    const { tables, width: tabular } = embeddingTables(features)
    const width = encoderShape(resolved.pretrained_model_config).dim + tabular
    this.categorical_embeddings = tables
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
    const tabular = tabularParts(this.gpu, features, this.categorical_embeddings, batch)
    return { ...this.bert.forward(batch.text), tabular }
  }

  #outputs(mlpInput: Tensor): { mlpInput: Tensor; logits: Tensor } {
    return { mlpInput, logits: this.head.forward(this.mlp ? this.mlp.forward(mlpInput) : mlpInput) }
  }
}
