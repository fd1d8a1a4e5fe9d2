// What several heads say of a document, put together to the score that lists are ordered by: a weight a head, given or fitted to graded lists.
import { expectNumbers, expectOptions, FINITE, shown } from '../check.ts'
import { ArgumentError, DataError, ShapeError } from '../errors.ts'
import { expectLists } from './check.ts'
import type { Figure } from './figures.ts'
import { Growing } from './judged-lists.ts'
import type { ListCurves } from './list-curves.ts'
import { type JudgedLists, ListEvaluation, type ListEvaluationOptions } from './list-evaluation.ts'
import type { Metric } from './metric.ts'
import { checkLists } from './ranking-lists.ts'

/** Keeps weights finite where heads order every list as the labels do; heads count by their deviation within lists. */
const RIDGE = 1e-4
const MOST_STEPS = 100

/**
 * The weighted sum of each document's heads, [N].
 * @param heads [N, K], row-major.
 * @param weights [K].
 */
export function fuseHeads(heads: ArrayLike<number>, weights: ArrayLike<number>): Float64Array {
  expectNumbers('fuseHeads: heads', heads)
  expectNumbers('fuseHeads: weights', weights, FINITE)
  const K = weights.length
  if (!K || heads.length % K)
    throw new ShapeError(
      `fuseHeads: ${heads.length} scores and ${K} weights, expected ${K} scores a document`,
    )
  return Float64Array.from({ length: heads.length / K }, (_, i) => {
    let sum = 0
    for (let k = 0; k < K; k++) sum += weights[k]! * heads[i * K + k]!
    return sum
  })
}

/**
 * The weights, [K], that order graded lists best by the cross-entropy of each list's softmax against its labels over their sum, the mean of the lists that
 * have a positive: a convex function, minimised by Newton's method in float64. A head that is constant within every list has the weight 0.
 * @param heads [N, K], row-major: what each head says of each document.
 * @throws DataError where no list has both a positive and another document
 *
 * @example
 * ```ts
 * import { fitHeads, fuseHeads } from 'kernelgrad/train'
 *
 * const heads = [0.1, -1, 0.3, 2, 0.2, 0]
 * const scores = fuseHeads(heads, fitHeads(heads, 2, { labels: [0, 3, 1], starts: [0, 3] }))
 * ```
 */
export function fitHeads(heads: ArrayLike<number>, K: number, lists: JudgedLists): Float64Array {
  expectOptions('fitHeads: lists', lists, ['labels', 'starts', 'rows'])
  const { labels, starts } = lists
  expectLists('fitHeads', { labels, scores: heads })
  if (!Number.isSafeInteger(K) || K < 1 || heads.length !== labels.length * K)
    throw new ShapeError(
      `fitHeads: ${heads.length} scores, expected ${shown(K)} a document, of ${labels.length}`,
    )
  checkLists(labels, new Float64Array(labels.length), starts)
  for (let i = 0; i < heads.length; i++)
    if (!Number.isFinite(heads[i]))
      throw new DataError(
        `fitHeads: score ${i % K} of row ${lists.rows?.[Math.floor(i / K)] ?? Math.floor(i / K)} is ${shown(heads[i])}, expected a finite number`,
      )
  const told = listsThatTell(labels, starts)
  if (!told.length)
    throw new DataError(
      'fitHeads: no list has both a positive and another document, expected lists that say what is to stand first',
    )
  const scales = deviations(heads, K, told)
  const used = Array.from(scales.keys()).filter(k => scales[k]! > 0)
  const x = (i: number, j: number) => heads[i * K + used[j]!]! / scales[used[j]!]!
  let w = new Float64Array(used.length)
  let now = objective(told, labels, x, w)
  for (let step = 0; step < MOST_STEPS; step++) {
    const move = solved(now.hessian, now.gradient)
    let size = 1
    let next = now
    // A whole step may be too long far from the minimum.
    do {
      const candidate = w.map((value, j) => value - size * move[j]!)
      next = objective(told, labels, x, candidate)
      if (next.value <= now.value) w = candidate
      size /= 2
    } while (next.value > now.value && size > 1e-12)
    if (!(next.value < now.value)) break
    now = next
  }
  const weights = new Float64Array(K)
  used.forEach((k, j) => {
    weights[k] = w[j]! / scales[k]!
  })
  return weights
}

/** Where those lists begin and end that have a positive and another document. */
function listsThatTell(labels: ArrayLike<number>, starts: ArrayLike<number>): [number, number][] {
  return Array.from({ length: starts.length - 1 }, (_, l): [number, number] => [
    starts[l]!,
    starts[l + 1]!,
  ]).filter(([begin, end]) => {
    const own = Array.from({ length: end - begin }, (_, i) => labels[begin + i]!)
    return own.some(label => label > 0) && own.some(label => label !== own[0])
  })
}

/** By head: the deviation of its scores within lists. */
function deviations(heads: ArrayLike<number>, K: number, lists: [number, number][]): Float64Array {
  const sums = new Float64Array(K)
  let rows = 0
  for (const [begin, end] of lists) {
    rows += end - begin
    for (let k = 0; k < K; k++) {
      let mean = 0
      for (let i = begin; i < end; i++) mean += heads[i * K + k]! / (end - begin)
      for (let i = begin; i < end; i++) {
        const away = heads[i * K + k]! - mean
        // What only the mean's rounding leaves is nothing.
        if (Math.abs(away) > 1e-12 * Math.abs(mean)) sums[k] = sums[k]! + away ** 2
      }
    }
  }
  return sums.map(sum => Math.sqrt(sum / rows))
}

/** The loss at some weights, with its gradient and second derivatives. */
function objective(
  lists: [number, number][],
  labels: ArrayLike<number>,
  x: (row: number, j: number) => number,
  w: Float64Array,
) {
  const J = w.length
  const gradient = w.map(value => RIDGE * value)
  const hessian = Array.from({ length: J }, (_, j) =>
    Float64Array.from({ length: J }, (_, k) => (j === k ? RIDGE : 0)),
  )
  let value = (RIDGE / 2) * w.reduce((sum, one) => sum + one * one, 0)
  for (const [begin, end] of lists) {
    const scores = Array.from({ length: end - begin }, (_, i) =>
      w.reduce((s, one, j) => s + one * x(begin + i, j), 0),
    )
    const top = Math.max(...scores)
    const exps = scores.map(score => Math.exp(score - top))
    const sum = exps.reduce((a, b) => a + b, 0)
    let positives = 0
    for (let i = begin; i < end; i++) positives += labels[i]!
    const means = new Float64Array(J)
    exps.forEach((e, i) => {
      const [p, t] = [e / sum, labels[begin + i]! / positives]
      value += (t * (Math.log(sum) - (scores[i]! - top))) / lists.length
      for (let j = 0; j < J; j++) {
        const own = x(begin + i, j)
        means[j] = means[j]! + p * own
        gradient[j] = gradient[j]! + ((p - t) * own) / lists.length
        for (let k = 0; k < J; k++)
          hessian[j]![k] = hessian[j]![k]! + (p * own * x(begin + i, k)) / lists.length
      }
    })
    for (let j = 0; j < J; j++)
      for (let k = 0; k < J; k++) hessian[j]![k] = hessian[j]![k]! - (means[j]! * means[k]!) / lists.length
  }
  return { value, gradient, hessian }
}

/** The solution of a small positive definite system, by elimination with the largest pivot. */
function solved(matrix: readonly Float64Array[], right: Float64Array): Float64Array {
  const rows = matrix.map((row, i) => [...row, right[i]!])
  for (let j = 0; j < rows.length; j++) {
    const pivot = rows.findIndex(
      (row, i) => i >= j && rows.every((other, k) => k < j || Math.abs(other[j]!) <= Math.abs(row[j]!)),
    )
    ;[rows[j], rows[pivot]] = [rows[pivot]!, rows[j]!]
    for (const [i, row] of rows.entries()) {
      if (i === j) continue
      const factor = row[j]! / rows[j]![j]!
      for (let k = j; k <= rows.length; k++) row[k] = row[k]! - factor * rows[j]![k]!
    }
  }
  return Float64Array.from(rows, (row, j) => row[rows.length]! / row[j]!)
}

/** What a {@link FusedEvaluation} is of. */
export interface FusedEvaluationOptions extends Pick<ListEvaluationOptions, 'loss' | 'also'> {
  /** Names of the model's columns: null of one that is no head. */
  names: readonly (string | null)[]
  /** The column that is the logit of a click, default 0. */
  click?: number
  /** A weight by head, 0 of those left out; fitted to the lists that are added unless given. */
  weights?: Readonly<Record<string, number>>
}

/** A {@link ListEvaluation} of several heads' weighted sum, with the weights as `weight NAME`. Keeps every score until the figures are made. */
export class FusedEvaluation implements Metric<never> {
  readonly figures: Readonly<Record<string, Figure>>
  readonly #options: FusedEvaluationOptions
  readonly #labels = new Growing()
  readonly #scores = new Growing()
  readonly #ends: number[] = []

  /** @throws ArgumentError for a weight of no head, or that is no number */
  constructor(options: FusedEvaluationOptions) {
    expectOptions('FusedEvaluation: options', options, ['names', 'loss', 'also', 'click', 'weights'])
    if (
      !Array.isArray(options.names) ||
      !options.names.every(name => name === null || typeof name === 'string')
    )
      throw new ArgumentError(
        `FusedEvaluation: names is ${shown(options.names)}, expected the names of columns`,
      )
    this.#options = options
    const heads = options.names.filter(name => name !== null)
    const { click = 0 } = options
    if (!Number.isSafeInteger(click) || click < 0 || click >= options.names.length)
      throw new ArgumentError(
        `FusedEvaluation: click is ${shown(click)}, expected a column, 0 to ${options.names.length - 1}`,
      )
    for (const [name, weight] of Object.entries(options.weights ?? {}))
      if (!heads.includes(name) || !Number.isFinite(weight))
        throw new ArgumentError(
          `FusedEvaluation: weights: '${name}' is ${shown(weight)}, expected numbers of some of ${heads.join(', ')}`,
        )
    const weights = heads.map(name => [`weight ${name}`, { better: 'none' }] as const)
    this.figures = { ...this.#evaluation().figures, ...Object.fromEntries(weights) }
  }

  #evaluation(): ListEvaluation {
    const { loss, also } = this.#options
    return new ListEvaluation({ ...(loss && { loss }), ...(also && { also }), columns: 2, click: 1 })
  }

  /** Adds a batch of a model whose inputs are called `labels` and `lists`. */
  add(batch: never, scores: Float32Array): void {
    const { labels, lists } = batch as { labels?: Record<string, Float32Array>; lists?: Uint32Array }
    const [grades] = Object.values(labels ?? {})
    if (!grades || !lists)
      throw new DataError(
        `the evaluation needs ${grades ? 'the columns that tell lists apart' : 'labels'}, and the data has none`,
      )
    if (scores.length !== grades.length * this.#options.names.length)
      throw new ShapeError(
        `FusedEvaluation: ${grades.length} labels need ${this.#options.names.length} scores each, got ${scores.length}`,
      )
    const before = this.#labels.length
    this.#labels.add(grades)
    this.#scores.add(scores)
    for (const end of lists.subarray(1)) this.#ends.push(before + end)
  }

  result(): { loss: number } & Record<string, number> {
    const { evaluation, weights } = this.#fused()
    const named = this.#heads().map(({ name }, i) => [`weight ${name}`, weights[i]!] as const)
    return { ...evaluation.result(), ...Object.fromEntries(named) }
  }

  listCurves(): ListCurves {
    return this.#fused().evaluation.listCurves()
  }

  #heads(): { name: string; column: number }[] {
    return this.#options.names.flatMap((name, column) => (name === null ? [] : [{ name, column }]))
  }

  #fused(): { evaluation: ListEvaluation; weights: Float64Array } {
    const { names, click = 0, weights: given } = this.#options
    const [labels, all, heads] = [this.#labels.values, this.#scores.values, this.#heads()]
    const starts = Uint32Array.from([0, ...this.#ends])
    const own = Float64Array.from(
      { length: labels.length * heads.length },
      (_, i) => all[Math.floor(i / heads.length) * names.length + heads[i % heads.length]!.column]!,
    )
    const weights = given
      ? Float64Array.from(heads, ({ name }) => given[name] ?? 0)
      : fitHeads(own, heads.length, { labels, starts })
    const fused = fuseHeads(own, weights)
    const scores = Float64Array.from({ length: 2 * labels.length }, (_, i) =>
      i % 2 ? all[(i >> 1) * names.length + click]! : fused[i >> 1]!,
    )
    return { evaluation: this.#evaluation().addLists({ labels, starts }, scores), weights }
  }
}
