// The scores of rows, under the names that a file of predictions has.
import { expectFlag, expectOptions } from '../check.ts'
import { KernelgradError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { expectModel } from '../train/checks.ts'
import { predict } from '../train/index.ts'
import { readRows } from './reader.ts'
import { modelRows, type Row } from './rows.ts'

/** The scores of a row, by the names that `kernelgrad predict` gives its columns: { probability } of two classes, probability_0, … of more. */
export type RowScores = Record<string, number>

/**
 * A model's scores of some rows, in their order, as a single batch. For requests that come one by one a {@link Scorer} gathers batches.
 *
 * @throws RowError naming row, field, value and what was expected; ConfigError for a model that does not score single rows
 *
 * @example
 * ```ts
 * import { loadModel } from 'kernelgrad'
 * import { predictRows } from 'kernelgrad/serve'
 *
 * const model = await loadModel(gpu, 'runs/clicks')
 * const [first] = await predictRows(model, [{ title: [4, 17], city: 3, depth: 2 }])
 * console.log(first?.probability)
 * ```
 */
export async function predictRows(
  model: Model,
  rows: readonly Row[],
  options: { truncate?: boolean } = {},
): Promise<RowScores[]> {
  expectModel('predictRows', model)
  expectOptions('predictRows: options', options, ['truncate'])
  const { truncate = false } = options
  expectFlag('predictRows: truncate', truncate)
  const columns = readRows('predictRows', modelRows('predictRows', model), model, rows, truncate)
  return namedScores(model, await predict(model, columns, { batchSize: columns.length, truncate }))
}

/** @throws KernelgradError for scores that are no numbers, which JSON would pass on as null */
export function namedScores(model: Model, scores: Float32Array): RowScores[] {
  const names = model.scoreNames()
  const K = names.length
  return Array.from({ length: scores.length / K }, (_, row) => {
    const named: RowScores = {}
    for (const [k, name] of names.entries()) {
      if (name === null) continue
      const score = scores[row * K + k]!
      if (!Number.isFinite(score))
        throw new KernelgradError(
          `predictRows: row ${row}: the ${name} is ${score}, which the model's weights lead to; train it again`,
        )
      named[name] = score
    }
    return named
  })
}
