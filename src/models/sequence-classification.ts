import { firstToken, relu, type Tensor } from '../autograd/index.ts'
import { isBert, type ModelConfig, parseModelConfig, type ResolvedModelConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf, ClassesInput, FloatsInput, TextInput } from '../inputs.ts'
import { DistilBertModel, Dropout, type Encoder, encoderInit, Linear } from '../nn/index.ts'
import { type CheckedBatch, checkBatch } from './check-batch.ts'
import { ClassModel } from './class-model.ts'
import { clickInputs, comparableClick } from './click.ts'

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
export class DistilBertForSequenceClassification extends ClassModel<TextOnlyInputs, CheckedBatch> {
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

  protected override checked(batch: Partial<BatchOf<TextOnlyInputs>>): CheckedBatch {
    return checkBatch('DistilBertForSequenceClassification', batch, { classes: this.config.num_labels })
  }

  protected override logitsOf({ text }: CheckedBatch): Tensor {
    const { hidden, rows } = this.distilbert.forward(text)
    const pooled = relu(this.pre_classifier.forward(firstToken(hidden, rows)))
    return this.classifier.forward(this.dropout.forward(pooled))
  }

  override comparable(): unknown {
    return comparableClick(this.config)
  }

  override encoders(): Record<string, Encoder> {
    return { distilbert: this.distilbert }
  }
}
