// How much worse a model does once a feature's values are dealt out anew. Source: Breiman, Random Forests (2001), section 10; as
// scikit-learn's `permutation_importance`.
import type { Columns } from '../../data/index.ts'
import { unitsOf } from '../../data/lists.ts'
import { pickRows } from '../../data/pick-rows.ts'
import { shuffledOrder } from '../../data/shuffle.ts'
import type { Inputs } from '../../inputs.ts'
import type { Figure } from '../../metrics/index.ts'
import type { Model } from '../../models/index.ts'
import { metricWith } from '../best-metric.ts'
import { predict } from '../predict.ts'
import { type Feature, permuted } from './features.ts'

/** How a model is scored for what is said of its features. */
export interface ExplainOptions {
  features: readonly Feature[]
  /** Rows at most, drawn by `seed`; whole lists of a model that orders them. */
  rows: number
  seed: number
  batchSize: number
  truncate: boolean
}

/** What a report says of a model's features. */
export interface Importance {
  /** The figure that is worse for a permuted feature. */
  figure: string
  /** Its value with all features as they are. */
  base: number
  /** Rows that were scored, and those they were drawn from. */
  rows: number
  of: number
  /** How often each feature was dealt out. */
  repeats: number
  seed: number
  /** By how much the figure gets worse in the mean, the most first; and its deviation over the repeats, null of one. */
  features: { name: string; worse: number; deviation: number | null }[]
}

/** The rows of so many whole units of the data, drawn by a seed, in the data's order. */
export function drawRows(
  data: Columns,
  inputs: Inputs,
  { rows: most, seed }: { rows: number; seed: number },
): Uint32Array {
  const units = unitsOf(data, inputs, { whole: true })
  if (units.rows <= most) return Uint32Array.from({ length: data.length }, (_, row) => row)
  const kept: number[] = []
  let rows = 0
  for (const unit of shuffledOrder(units.count, seed, 0)) {
    // A first list that is too long is taken all the same.
    if (kept.length && rows + units.sizeOf(unit) > most) break
    kept.push(unit)
    rows += units.sizeOf(unit)
  }
  return units.rowsOf(Uint32Array.from(kept)).sort()
}

/**
 * Permutation importance of each feature by one figure of the model's own metric. Values are dealt out over all rows that were drawn, of whichever list
 * they are: what is the same in a whole list counts too.
 * @param options.figure its name, and which way it gets better.
 * @returns undefined where the figure has no value, as ROC AUC of rows that are all of one class
 */
export async function permutationImportance(
  model: Model,
  data: Columns,
  options: ExplainOptions & { repeats: number; figure: [name: string, Figure] },
): Promise<Importance | undefined> {
  const { features, seed, repeats, batchSize, truncate } = options
  const [figure, { better }] = options.figure
  const rows = drawRows(data, model.inputs, options)
  const drawn = pickRows(data, rows)
  const measure = async (columns: Columns): Promise<number> => {
    const metric = metricWith(model, [figure], { rows: rows.length })
    await predict(model, columns, { batchSize, truncate, metric })
    return metric.result()[figure]!
  }
  const base = await measure(drawn)
  if (!Number.isFinite(base)) return undefined
  const found: Importance['features'] = []
  for (const [i, feature] of features.entries()) {
    const worse: number[] = []
    for (let repeat = 0; repeat < repeats; repeat++) {
      const value = await measure(
        permuted(drawn, feature, shuffledOrder(rows.length, seed, 1 + i * repeats + repeat)),
      )
      worse.push(better === 'greater' ? base - value : value - base)
    }
    const mean = worse.reduce((a, b) => a + b, 0) / repeats
    const squares = worse.reduce((sum, x) => sum + (x - mean) ** 2, 0)
    found.push({
      name: feature.name,
      worse: mean,
      deviation: repeats > 1 ? Math.sqrt(squares / (repeats - 1)) : null,
    })
  }
  found.sort((a, b) => b.worse - a.worse)
  return { figure, base, rows: rows.length, of: data.length, repeats, seed, features: found }
}
