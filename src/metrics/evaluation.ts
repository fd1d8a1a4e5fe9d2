// How good a classifier is: the same figures during training, and of a file afterwards.
import { COUNT, expectNumber, expectOptions, NATURAL } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'
import type { BatchRows } from '../inputs.ts'
import { ScoreAccumulator } from './accumulator.ts'
import { checkSome, expectLists } from './check.ts'
import type { Curves } from './curves.ts'
import { type Figure, figuresOf } from './figures.ts'
import { argmax, checkClassRows, lossOf } from './loss.ts'
import type { Metric } from './metric.ts'

/** What an evaluation gives: `loss` is the mean cross-entropy, the rest depends on the number of classes. */
export type EvaluationMetrics = { loss: number } & Record<string, number>

/** Classes whose confusions are counted. */
const SHOWN_CLASSES = 50

/** A batch with a class of each row. */
type Labelled = BatchRows & { labels?: Uint32Array | undefined }

/**
 * Takes labels and probabilities of C classes in pieces, rows in order; the pieces' sizes do not change a bit of the result.
 * Memory: with two classes, a label and a float32 score per row ({@link ScoreAccumulator}); with more, three numbers.
 */
export class Evaluation implements Metric<Labelled> {
  /** C. */
  readonly classes: number
  readonly figures: Readonly<Record<string, Figure>>
  /** With two classes. */
  readonly takesGroups: boolean
  readonly #scores: ScoreAccumulator | undefined
  #rows = 0
  #loss = 0
  #right = 0
  /** [C, C] rows by class and by the class they are taken for, of more than two classes that a page has room for. */
  readonly #taken: Float64Array | undefined

  /**
   * @param options.rows Rows that will come, where known.
   * @param options.also Figures that a run asks for beside these: there are none of a classifier.
   */
  constructor(classes: number, options: { rows?: number; also?: readonly string[] } = {}) {
    expectNumber('Evaluation: classes', classes, COUNT)
    expectOptions('Evaluation: options', options, ['rows', 'also'])
    const { rows = 0 } = options
    expectNumber('Evaluation: rows', rows, NATURAL)
    this.classes = classes
    this.figures = figuresOf(classes)
    this.takesGroups = classes === 2
    this.#scores = classes === 2 ? new ScoreAccumulator({ rows }) : undefined
    this.#taken = classes > 2 && classes <= SHOWN_CLASSES ? new Float64Array(classes * classes) : undefined
  }

  /**
   * Adds rows.
   * @param labelled class from 0 to C-1 per row, [B]; or a batch with `labels`.
   * @param probabilities [B, C], row-major.
   * @param groups any value per row, for AUC within groups; two classes only.
   * @throws DataError naming the row of a bad value.
   */
  add(labelled: Uint32Array | Labelled, probabilities: Float32Array, groups?: ArrayLike<unknown>): this {
    const labels = labelsOf(labelled)
    const C = this.classes
    expectLists('Evaluation.add', { labels, probabilities })
    checkClassRows(labels, probabilities, C, 'evaluation', this.#rows)
    this.#scores?.add(labels, clickProbability(probabilities), groups)
    this.#rows += labels.length
    for (let i = 0; i < labels.length; i++) {
      this.#loss += lossOf(probabilities, i, labels[i]!, C)
      const taken = argmax(probabilities, i, C)
      if (taken === labels[i]) this.#right++
      if (this.#taken) this.#taken[labels[i]! * C + taken]!++
    }
    return this
  }

  /**
   * Loss, and {@link BinaryMetrics} of two classes or the accuracy of more.
   * @throws DataError when there are no rows.
   */
  result(): EvaluationMetrics {
    checkSome(this.#rows, 'evaluation')
    const loss = this.#loss / this.#rows
    return this.#scores ? { loss, ...this.#scores.result() } : { loss, accuracy: this.#right / this.#rows }
  }

  /** Rows by class and by the class of the highest probability, [C][C]; there are none of two classes, or of more than 50. */
  confusion(): number[][] | undefined {
    const C = this.classes
    return this.#taken && Array.from({ length: C }, (_, c) => [...this.#taken!.subarray(c * C, (c + 1) * C)])
  }

  /** Curves for a report; there are none of more than two classes. */
  curves(): Curves | undefined {
    return this.#scores?.curves()
  }
}

function labelsOf(labelled: Uint32Array | Labelled): Uint32Array {
  if (typeof labelled !== 'object' || labelled === null || 'length' in labelled)
    return labelled as Uint32Array
  if (!labelled.labels) throw new DataError('evaluation needs labels, and the data has none')
  return labelled.labels
}

/** What `evaluate` returns of a classifier, of probabilities [rows, C] already there. */
export function metricsOf(labels: Uint32Array, probabilities: Float32Array, C: number): EvaluationMetrics {
  expectLists('metricsOf', { labels, probabilities })
  return new Evaluation(C, { rows: labels.length }).add(labels, probabilities).result()
}

/** The probability of class 1, of probabilities [rows, 2]. */
export function clickProbability(probabilities: Float32Array): Float32Array<ArrayBuffer> {
  expectLists('clickProbability', { probabilities })
  if (probabilities.length % 2)
    throw new ShapeError(`clickProbability: ${probabilities.length} probabilities, expected two a row`)
  return Float32Array.from({ length: probabilities.length / 2 }, (_, i) => probabilities[2 * i + 1]!)
}
