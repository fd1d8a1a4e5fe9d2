// What models of classes share: a softmax over logits, the cross-entropy of their labels, and what they are judged by.
import type { Tensor } from '../autograd/index.ts'
import type { LabelConfig } from '../config/index.ts'
import type { BatchOf, Input } from '../inputs.ts'
import { Evaluation } from '../metrics/index.ts'
import { lossOf, type ModelOutput, probabilities, probabilityNames } from './click.ts'
import { lossByConfig, weightByConfig } from './label-loss.ts'
import { Model, type ModelConfiguration } from './model.ts'

/** A batch that is checked; models read more of theirs. */
interface Checked {
  size: number
  labels: Uint32Array | undefined
}

/**
 * A model whose logits [B, C] are of classes: a subclass checks a batch and says what its logits are.
 *
 * @typeParam I - what it reads.
 * @typeParam C - what it makes of a batch before anything is uploaded.
 */
export abstract class ClassModel<
  I extends { [K in keyof I]: Input },
  C extends Checked = Checked,
> extends Model<I> {
  abstract override readonly config: ModelConfiguration & LabelConfig & { num_labels: number }

  /** Checks a batch: errors name model, column and row. */
  protected abstract checked(batch: Partial<BatchOf<I>>): C
  /** [B, C] of a batch that is checked. */
  protected abstract logitsOf(checked: C): Tensor

  /**
   * Logits [B, C], and the loss where the batch has labels.
   *
   * @throws an error naming model, column and row for a batch that lacks what it reads, or holds what it cannot
   */
  forward(batch: Partial<BatchOf<I>>): ModelOutput {
    const checked = this.checked(batch)
    const logits = this.logitsOf(checked)
    return { logits, loss: checked.labels && this.lossOfChecked(logits, checked, batch) }
  }

  /** [B, C]. */
  override logits(batch: Partial<BatchOf<I>>): Tensor {
    return this.logitsOf(this.checked({ ...batch, labels: undefined }))
  }

  /** [1], the loss of logits [B, C] that are there already. */
  override lossOf(logits: Tensor, batch: Partial<BatchOf<I>>): Tensor {
    return this.lossOfChecked(logits, this.checked(batch), batch)
  }

  /** The same of a batch that is checked. */
  protected lossOfChecked(logits: Tensor, { labels, size }: C, batch: Partial<BatchOf<I>>): Tensor {
    return lossByConfig(this.#name, logits, { ...batch, size, labels }, this.config)
  }

  /** [1], the mean cross-entropy, by the configuration's weights and smoothing. */
  loss(batch: Partial<BatchOf<I>>): Tensor {
    return lossOf(this.forward(batch), this.#name)
  }

  /** What the rows weigh, where the configuration weighs them. */
  override lossCount(batch: Partial<BatchOf<I>>): number | undefined {
    const { labels, size } = this.checked(batch)
    return weightByConfig(this.#name, { ...batch, size, labels }, this.config)
  }

  /** [B, C], class probabilities. */
  scores(batch: Partial<BatchOf<I>>): Tensor {
    return probabilities(this.logits(batch))
  }

  metrics(options?: { rows?: number }): Evaluation {
    return new Evaluation(this.config.num_labels, options)
  }

  scoreNames(): (string | null)[] {
    return probabilityNames(this.config.num_labels)
  }

  get #name(): string {
    return (this.constructor as unknown as { architecture: string }).architecture
  }
}
