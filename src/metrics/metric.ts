// What a model is judged by: fed with batches and scores, rows in order, it gives figures by name.
import type { AnyBatch } from '../inputs.ts'
import type { Curves } from './curves.ts'
import type { Figure } from './figures.ts'
import type { ListCurves } from './list-curves.ts'

/** Takes what a model made of batch after batch; how the rows were cut does not change a bit of the result. */
export interface Metric<B = AnyBatch> {
  /** The figures that `result` gives without groups, each with the way it gets better; `loss` is among them. */
  readonly figures: Readonly<Record<string, Figure>>
  /** Whether rows may be told apart by groups: a user, a query. */
  readonly takesGroups?: boolean
  /**
   * Adds rows.
   * @param batch what the model read.
   * @param scores what it answered, [rows, K], row-major.
   * @param groups any value per row; only where `takesGroups`.
   * @throws DataError naming the row of a bad value.
   */
  add(batch: B, scores: Float32Array, groups?: ArrayLike<unknown>): void
  /** The figures of all rows by name. */
  result(): { loss: number } & Record<string, number>
  /** What a report draws, where it can. */
  curves?(): Curves | undefined
  /** Rows by class and by the class that they are taken for, [C][C], of a classifier of more than two classes. */
  confusion?(): number[][] | undefined
  /** What a report draws of lists that are ordered. */
  listCurves?(): ListCurves | undefined
}
