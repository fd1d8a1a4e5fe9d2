// All click metrics of a stream of rows.
import { expectNumber, expectOptions, NATURAL } from '../check.ts'
import { DataError } from '../errors.ts'
import { calibrationError, ratioOfSums } from './calibration.ts'
import { checkPairs, checkProbabilities, checkSome, type Numbers } from './check.ts'
import { type Curves, curvesOf } from './curves.ts'
import { encodeGroups, type GroupedAuc, groupedAucOfCodes } from './grouped.ts'
import { meanLogLoss, meanSquare, normalized } from './loss.ts'
import { type ByClass, prAucSorted, rocAucSorted, sortByClass } from './ranking.ts'

/** The figures of one click evaluation, under the names they are logged by. NaN where a figure does not exist. */
export interface BinaryMetrics extends Partial<GroupedAuc> {
  /** Mean cross-entropy, in nats. */
  log_loss: number
  /** NaN with one class only. */
  roc_auc: number
  /** 0 without clicks. */
  pr_auc: number
  /** NaN with one class only. */
  normalized_entropy: number
  /** Mean squared error of the probability. */
  brier: number
  /** Mean distance between probability and share of clicks, over bins. */
  expected_calibration_error: number
  /** NaN without clicks. */
  calibration_ratio: number
}

/**
 * Takes labels and click probabilities in pieces of any size and gives every metric of all of them; how the rows were cut does not
 * change a bit of the result.
 *
 * Memory: a byte per label and a score per row (4 bytes when the scores come as Float32Array, else 8), 4 bytes for its group
 * where there are groups, and as much as the distinct group values take; arrays double when full, so up to twice that unless
 * `rows` is given. Results add a sorted copy of the scores.
 */
export class ScoreAccumulator {
  #length = 0
  #labels: Uint8Array
  #scores: Float32Array | Float64Array | undefined
  #groups: Uint32Array | undefined
  readonly #groupCodes = new Map<unknown, number>()
  readonly #capacity: number
  #sorted: ByClass | undefined

  /** @param options.rows Rows that will come, where known: room is made once. */
  constructor(options: { rows?: number } = {}) {
    expectOptions('ScoreAccumulator: options', options, ['rows'])
    const { rows = 0 } = options
    expectNumber('ScoreAccumulator: rows', rows, NATURAL)
    this.#capacity = Math.max(rows, 1024)
    this.#labels = new Uint8Array(this.#capacity)
  }

  /** Rows so far. */
  get length(): number {
    return this.#length
  }

  /**
   * Adds rows.
   * @param labels 0 or 1 per row.
   * @param scores probability of a click per row; float32 or not is decided by the first piece.
   * @param groups any value per row, for AUC within groups; null for a row without a group. With every piece or with none.
   * @throws DataError naming the row of a value that is no label, probability or group.
   */
  add(labels: Numbers, scores: Numbers, groups?: ArrayLike<unknown>): this {
    const first = this.#length
    checkPairs(labels, scores, 1, 'metrics', first)
    checkProbabilities(scores, 1, 'metrics', first)
    const single = scores instanceof Float32Array
    this.#scores ??= single ? new Float32Array(this.#capacity) : new Float64Array(this.#capacity)
    if (single !== this.#scores instanceof Float32Array) {
      throw new DataError(`metrics: scores from row ${first} on are of another type than those before`)
    }
    if (first === 0 && groups) this.#groups = new Uint32Array(this.#capacity)
    if (labels.length > 0 && Boolean(groups) !== Boolean(this.#groups)) {
      throw new DataError(
        `metrics: rows from ${first} on ${groups ? 'have' : 'lack'} groups, unlike those before`,
      )
    }
    const length = first + labels.length
    if (length > this.#labels.length) this.#grow(Math.max(length, 2 * this.#labels.length))
    if (groups) {
      const codes = this.#groups!.subarray(first, length)
      encodeGroups(groups, labels.length, this.#groupCodes, codes, first)
    }
    this.#labels.set(labels, first)
    this.#scores.set(scores, first)
    this.#length = length
    this.#sorted = undefined
    return this
  }

  /**
   * Every metric of the rows so far.
   * @throws DataError when there are none.
   */
  result(): BinaryMetrics {
    const [labels, scores] = this.#rows()
    const log_loss = meanLogLoss(labels, scores)
    const sorted = this.#sort()
    return {
      log_loss,
      roc_auc: rocAucSorted(sorted),
      pr_auc: prAucSorted(sorted),
      normalized_entropy: normalized(log_loss, labels),
      brier: meanSquare(labels, scores),
      expected_calibration_error: calibrationError(labels, scores),
      calibration_ratio: ratioOfSums(labels, scores),
      ...(this.#groups &&
        groupedAucOfCodes(labels, scores, this.#groups.subarray(0, this.#length), this.#groupCodes.size)),
    }
  }

  /**
   * What a report draws of the rows so far.
   * @throws DataError when there are none.
   */
  curves(): Curves {
    this.#rows()
    return curvesOf(this.#sort())
  }

  #rows(): [Uint8Array, Float32Array | Float64Array] {
    checkSome(this.#length, 'metrics')
    return [this.#labels.subarray(0, this.#length), this.#scores!.subarray(0, this.#length)]
  }

  #sort(): ByClass {
    this.#sorted ??= sortByClass(...this.#rows())
    return this.#sorted
  }

  #grow(capacity: number): void {
    this.#labels = copied(this.#labels, new Uint8Array(capacity))
    const scores =
      this.#scores instanceof Float32Array ? new Float32Array(capacity) : new Float64Array(capacity)
    this.#scores = copied(this.#scores!, scores)
    if (this.#groups) this.#groups = copied(this.#groups, new Uint32Array(capacity))
  }
}

function copied<T extends { set(from: Numbers): void }>(from: Numbers, to: T): T {
  to.set(from)
  return to
}

/**
 * All click metrics at once.
 * @param p probability of a click per row.
 * @throws DataError as {@link logLoss}.
 */
export function binaryMetrics(labels: Numbers, p: Numbers): BinaryMetrics {
  return new ScoreAccumulator({ rows: labels.length }).add(labels, p).result()
}
