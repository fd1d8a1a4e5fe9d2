// A model as training, prediction and evaluation know it: what it reads, what it is trained on, what it answers. They know no
// model by name.
import type { Tensor } from '../autograd/index.ts'
import type { Columns, TextTokenizer } from '../data/index.ts'
import type { BatchOf, Input, Inputs } from '../inputs.ts'
import type { Metric } from '../metrics/index.ts'
import { type Encoder, Module } from '../nn/index.ts'

/** A model's configuration as `config.json` holds it. */
export interface ModelConfiguration {
  /** Which model it is: {@link registerModel}. */
  architecture: string
  /** Folder of saved encoders: their weights with `use_pretrained`, their tokenizer where strings are read. */
  model_name?: string
  /** Start the encoders from the weights in the folder `model_name`. */
  use_pretrained?: boolean
}

/**
 * Base of every model that `Trainer`, `predict` and the command line take. A subclass says what it reads (`inputs`), what it is
 * trained on (`loss`), what it answers (`scores`) and what it is judged by (`metrics`).
 *
 * @example
 * ```ts
 * import { type BatchOf, concat, crossEntropy, Evaluation, type Inputs, Model, nn, softmax, type Tensor, tensor } from 'kernelgrad'
 *
 * const inputs = {
 *   codes: { kind: 'ids', columns: { city: 50 } },
 *   prices: { kind: 'floats', columns: ['price'] },
 *   labels: { kind: 'classes', column: 'clicked', classes: 2, trainOnly: true },
 * } as const satisfies Inputs
 *
 * class Clicks extends Model<typeof inputs> {
 *   static readonly architecture = 'Clicks'
 *   static readonly parse = () => ({ architecture: 'Clicks' })
 *   readonly config = Clicks.parse()
 *   readonly inputs = inputs
 *   readonly city = new nn.Embedding(50, 8)
 *   readonly head = new nn.Linear(9, 2)
 *
 *   override logits({ codes, prices, size }: BatchOf<typeof inputs>): Tensor {
 *     const price = tensor(this.gpu, prices.price!, [size, 1])
 *     return this.head.forward(concat([this.city.forward(codes.city!), price]))
 *   }
 *   loss(batch: BatchOf<typeof inputs>): Tensor {
 *     return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels!))
 *   }
 *   scores(batch: BatchOf<typeof inputs>): Tensor {
 *     return softmax(this.logits(batch))
 *   }
 *   metrics(options?: { rows?: number }): Evaluation {
 *     return new Evaluation(2, options)
 *   }
 *   scoreNames(): (string | null)[] {
 *     return [null, 'probability']
 *   }
 * }
 * ```
 */
export abstract class Model<I extends { [K in keyof I]: Input } = Inputs> extends Module {
  /** The configuration with every default; saved with the model. */
  abstract readonly config: ModelConfiguration
  /** What it reads, by the names that its batches have. */
  abstract readonly inputs: I
  /** Turns strings into token ids; saved with the model. */
  tokenizer?: TextTokenizer | undefined

  /** [1], the mean over the batch that training makes less. */
  abstract loss(batch: BatchOf<I>): Tensor

  /**
   * What the mean in `loss` runs over, where it is not the batch's rows: how many tokens, lists or pairs, or what they weigh; 'sum' of a loss that is
   * no mean. Where several processes share a batch, the loss of each counts by it, so that together they learn from the loss of the whole. By rows
   * where there is none; which it is must not depend on the batch.
   */
  lossCount?(batch: BatchOf<I>): number | 'sum' | undefined

  /** [rows, K] float32, what `predict` returns. Inputs for the loss alone may be missing. */
  abstract scores(batch: BatchOf<I>): Tensor

  /**
   * A metric without rows.
   * @param options.rows rows that will come, where known.
   * @param options.also figures that are asked for beside its own, as ndcg@3 of lists; what it does not know is left out.
   */
  abstract metrics(options?: { rows?: number; also?: readonly string[] }): Metric<BatchOf<I>>

  /**
   * [rows, C] float32, or [rows, 1] for a model whose single logit z means p = sigmoid(z), so that the two classes' logits are [0, z]. What a student
   * learns from, and what `predict` writes as logits; models that lack it are refused there. Inputs for the loss alone may be missing.
   */
  logits?(batch: BatchOf<I>): Tensor

  /** [1], what `loss` is, of logits that are there already: beside a teacher a model that lacks it runs twice a step, once for `loss`. */
  lossOf?(logits: Tensor, batch: BatchOf<I>): Tensor

  /** How much each place of a list is looked at beside the first, where the model learns it: a report shows it. */
  placesLookedAt?(): Promise<number[] | undefined>

  /** What the columns of `scores` are called in a file of predictions; null for one that is not written. */
  abstract scoreNames(): readonly (string | null)[]

  /**
   * What the loss asks of rows beside what `inputs` say of them; called before the first step.
   * @param where what the message begins with.
   * @throws DataError naming column, file, row, value and what was expected
   */
  checkTraining?(where: string, rows: Columns): void

  /** Its configuration as a checkpoint's is held against it: what means the same is written the same, and lists have an order. */
  comparable(): unknown {
    return this.config
  }

  /** Its encoders by role: they start from pretrained weights, and learn at rates of their own. */
  encoders(): Record<string, Encoder> {
    return {}
  }
}
