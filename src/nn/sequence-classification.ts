import { firstToken, labelCrossEntropy, relu, type Tensor, tensor } from '../autograd/index.ts'
import { isBert, type ModelConfig, parseModelConfig, type ResolvedModelConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import { DistilBertModel } from './distilbert.ts'
import { encoderInit, type TextInput } from './encoder.ts'
import { type CheckedBatch, checkBatch } from './inputs.ts'
import { Dropout, Linear } from './layers.ts'
import { Module } from './module.ts'
import type { ModelInput, ModelOutput } from './text-tabular.ts'

/**
 * The text-only baseline: `transformers.DistilBertForSequenceClassification`. It reads the first token's hidden state, so its
 * batches are collated with `keepFirst`.
 */
export class DistilBertForSequenceClassification extends Module {
  /** The configuration with every default. */
  readonly config: ResolvedModelConfig
  readonly distilbert: DistilBertModel
  readonly pre_classifier: Linear
  readonly classifier: Linear
  readonly dropout: Dropout

  /** @throws ConfigError naming the key that is wrong, or for a BERT encoder */
  constructor(config: ModelConfig) {
    super()
    this.config = parseModelConfig(config, 'the model configuration')
    const encoder = this.config.pretrained_model_config
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
  forward(batch: ModelInput): ModelOutput {
    const { text, labels } = this.#checked(batch)
    const logits = this.#logits(text)
    return { logits, loss: labels && labelCrossEntropy(logits, tensor(this.gpu, labels)) }
  }

  /** [B, C]. */
  logits(batch: ModelInput): Tensor {
    return this.#logits(this.#checked(batch).text)
  }

  #checked(batch: ModelInput): CheckedBatch {
    return checkBatch('DistilBertForSequenceClassification', batch, { classes: this.config.num_labels })
  }

  #logits(text: TextInput): Tensor {
    const { hidden, rows } = this.distilbert.forward(text)
    const pooled = relu(this.pre_classifier.forward(firstToken(hidden, rows)))
    return this.classifier.forward(this.dropout.forward(pooled))
  }
}
