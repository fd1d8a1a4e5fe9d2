import { firstToken, relu, softmax, type Tensor } from '../autograd/index.ts'
import { isBert, type ModelConfig, parseModelConfig, type ResolvedModelConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf, ClassesInput, FloatsInput, PackedTokens, TextInput } from '../inputs.ts'
import { Evaluation } from '../metrics/index.ts'
import { DistilBertModel, Dropout, type Encoder, encoderInit, Linear } from '../nn/index.ts'
import { type CheckedBatch, checkBatch } from './check-batch.ts'
import { clickInputs, comparableClick, lossOf, type ModelOutput, probabilityNames } from './click.ts'
import { lossByConfig } from './label-loss.ts'
import { Model } from './model.ts'

/** What the baseline reads: the texts alone, and the label. */
export type TextOnlyInputs = {
  text: TextInput
  labels: ClassesInput & { trainOnly: true }
  rowWeights?: FloatsInput & { trainOnly: true; lossOnly: true }
}

/**
 * The text-only baseline: `transformers.DistilBertForSequenceClassification`. It reads the first token's hidden state, so its
 * batches are collated with `keepFirst`.
 */
export class DistilBertForSequenceClassification extends Model<TextOnlyInputs> {
  static readonly architecture = 'DistilBertForSequenceClassification'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseModelConfig

  /** The configuration with every default. */
  readonly config: ResolvedModelConfig
  readonly inputs: TextOnlyInputs
  readonly distilbert: DistilBertModel
  readonly pre_classifier: Linear
  readonly classifier: Linear
  readonly dropout: Dropout

  /** @throws ConfigError naming the key that is wrong, or for a BERT encoder */
  constructor(config: ModelConfig) {
    super()
    this.config = parseModelConfig(config, 'the model configuration')
    const encoder = this.config.pretrained_model_config
    const { text, labels, rowWeights } = clickInputs(this.config, { keepFirst: true })
    this.inputs = { text, labels, ...(rowWeights ? { rowWeights } : {}) }
    if (isBert(encoder))
      throw new ConfigError('DistilBertForSequenceClassification takes a DistilBERT encoder')
    const init = encoderInit(encoder.initializer_range)
    this.distilbert = new DistilBertModel(encoder)
    this.pre_classifier = new Linear(encoder.dim, encoder.dim, init)
    this.classifier = new Linear(encoder.dim, this.config.num_labels, init)
    this.dropout = new Dropout(encoder.seq_classif_dropout)
  }

  /**
   * Logits [B, C], and the mean cross-entropy where the batch has labels.
   *
   * @throws ConfigError for a batch without text
   */
  forward(batch: Partial<BatchOf<TextOnlyInputs>>): ModelOutput {
    const { text, labels } = this.#checked(batch)
    const logits = this.#logits(text)
    return { logits, loss: labels && this.lossOf(logits, batch) }
  }

  /** [B, C]. */
  override logits(batch: Partial<BatchOf<TextOnlyInputs>>): Tensor {
    return this.#logits(this.#checked({ ...batch, labels: undefined }).text)
  }

  /** [1], the mean cross-entropy of logits [B, C] that are there already. */
  override lossOf(logits: Tensor, batch: Partial<BatchOf<TextOnlyInputs>>): Tensor {
    const { labels, size } = this.#checked(batch)
    return lossByConfig(
      'DistilBertForSequenceClassification',
      logits,
      { ...batch, size, labels },
      this.config,
    )
  }

  #checked(batch: Partial<BatchOf<TextOnlyInputs>>): CheckedBatch {
    return checkBatch('DistilBertForSequenceClassification', batch, { classes: this.config.num_labels })
  }

  #logits(text: PackedTokens): Tensor {
    const { hidden, rows } = this.distilbert.forward(text)
    const pooled = relu(this.pre_classifier.forward(firstToken(hidden, rows)))
    return this.classifier.forward(this.dropout.forward(pooled))
  }

  /** [1], the mean cross-entropy. */
  loss(batch: Partial<BatchOf<TextOnlyInputs>>): Tensor {
    return lossOf(this.forward(batch), 'DistilBertForSequenceClassification')
  }

  /** [B, C], class probabilities. */
  scores(batch: Partial<BatchOf<TextOnlyInputs>>): Tensor {
    return softmax(this.logits(batch))
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
    return { distilbert: this.distilbert }
  }
}
