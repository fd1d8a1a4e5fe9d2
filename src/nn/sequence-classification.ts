import { firstToken, labelCrossEntropy, relu, type Tensor, tensor } from '../autograd/index.ts'
import { isBert, type ModelConfig, parseModelConfig, type ResolvedModelConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import { DistilBertModel } from './distilbert.ts'
import { encoderInit } from './encoder.ts'
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
    const logits = this.logits(batch)
    return { logits, loss: batch.labels && labelCrossEntropy(logits, tensor(this.gpu, batch.labels)) }
  }

  /** [B, C]. */
  logits(batch: ModelInput): Tensor {
    if (!batch.text) throw new ConfigError('DistilBertForSequenceClassification needs a batch with text')
    const { hidden, rows } = this.distilbert.forward(batch.text)
    const pooled = relu(this.pre_classifier.forward(firstToken(hidden, rows)))
    return this.classifier.forward(this.dropout.forward(pooled))
  }
}
