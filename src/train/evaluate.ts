// How good a model is: the same figures during training, and of a file afterwards.

import { COUNT, expectNumber, expectOptions, NATURAL } from '../check.ts'
import { checkColumns } from '../data/check-columns.ts'
import type { Dataset } from '../data/index.ts'
import { KernelgradError } from '../errors.ts'
import { checkPredictOptions, expectModel } from './checks.ts'
import { checkSome, expectLists } from './metrics/check.ts'
import { type Curves, ScoreAccumulator } from './metrics/index.ts'
import { argmax, checkClassRows, lossOf } from './metrics/loss.ts'
import type { ClickModel } from './model.ts'
import { clickProbability, type PredictOptions, predict } from './predict.ts'

/** What an evaluation gives: `loss` is the mean cross-entropy, the rest depends on the number of classes. */
export type EvaluationMetrics = { loss: number } & Record<string, number>

/** How to evaluate. */
export interface EvaluateOptions extends PredictOptions {
  /** Gets all labels and probabilities, for curves. */
  onEvaluation?: (evaluation: Evaluation) => void
}

/**
 * Takes labels and probabilities of C classes in pieces, rows in order; the pieces' sizes do not change a bit of the result.
 * Memory: with two classes, a label and a float32 score per row ({@link ScoreAccumulator}); with more, three numbers.
 */
export class Evaluation {
  /** C. */
  readonly classes: number
  readonly #scores: ScoreAccumulator | undefined
  #rows = 0
  #loss = 0
  #right = 0

  /** @param options.rows Rows that will come, where known. */
  constructor(classes: number, options: { rows?: number } = {}) {
    expectNumber('Evaluation: classes', classes, COUNT)
    expectOptions('Evaluation: options', options, ['rows'])
    const { rows = 0 } = options
    expectNumber('Evaluation: rows', rows, NATURAL)
    this.classes = classes
    this.#scores = classes === 2 ? new ScoreAccumulator({ rows }) : undefined
  }

  /**
   * Adds rows.
   * @param labels class from 0 to C-1 per row, [B].
   * @param probabilities [B, C], row-major.
   * @param groups any value per row, for AUC within groups; two classes only.
   * @throws DataError naming the row of a bad value.
   */
  add(labels: Uint32Array, probabilities: Float32Array, groups?: ArrayLike<unknown>): this {
    const C = this.classes
    expectLists('Evaluation.add', { labels, probabilities })
    checkClassRows(labels, probabilities, C, 'evaluation', this.#rows)
    this.#scores?.add(labels, clickProbability(probabilities), groups)
    this.#rows += labels.length
    for (let i = 0; i < labels.length; i++) {
      this.#loss += lossOf(probabilities, i, labels[i]!, C)
      if (argmax(probabilities, i, C) === labels[i]) this.#right++
    }
    return this
  }

  /**
   * Loss, and {@link BinaryMetrics} of two classes or the accuracy of more.
   * @throws DataError when there are no rows.
   */
  metrics(): EvaluationMetrics {
    checkSome(this.#rows, 'evaluation')
    const loss = this.#loss / this.#rows
    return this.#scores ? { loss, ...this.#scores.result() } : { loss, accuracy: this.#right / this.#rows }
  }

  /** Curves for a report; there are none of more than two classes. */
  curves(): Curves | undefined {
    return this.#scores?.curves()
  }
}

/**
 * Loss and metrics over a labelled data set, as {@link Evaluation} gives them.
 * @throws KernelgradError when the data has no labels.
 *
 * @example
 * ```ts
 * import { evaluate } from 'kernelgrad'
 *
 * const { loss, roc_auc } = await evaluate(model, dataset)
 * ```
 */
export async function evaluate(
  model: ClickModel,
  data: Dataset,
  given: EvaluateOptions = {},
): Promise<EvaluationMetrics> {
  expectModel('evaluate', model)
  checkPredictOptions('evaluate', given, 'onEvaluation')
  checkColumns('evaluate', data)
  if (!data.labels) throw new KernelgradError('evaluate: evaluation needs labels, and the data has none')
  const { onEvaluation, ...options } = given
  const evaluation = new Evaluation(model.config.num_labels, { rows: data.length })
  evaluation.add(data.labels, await predict(model, data, options))
  onEvaluation?.(evaluation)
  return evaluation.metrics()
}

/** What `evaluate` returns, of probabilities [rows, C] already there. */
export function metricsOf(labels: Uint32Array, probabilities: Float32Array, C: number): EvaluationMetrics {
  expectLists('metricsOf', { labels, probabilities })
  return new Evaluation(C, { rows: labels.length }).add(labels, probabilities).metrics()
}
