// What a report says of a model's features: how much each matters, and where the model is worse than elsewhere.
import type { ResolvedTrainerConfig } from '../../config/index.ts'
import type { Dataset } from '../../data/index.ts'
import type { Figure } from '../../metrics/index.ts'
import type { Model } from '../../models/index.ts'
import { metricOf, metricWith } from '../best-metric.ts'
import { METRICS } from '../report/tables.ts'
import { featuresOf, type RawColumns } from './features.ts'
import { type Importance, permutationImportance } from './importance.ts'
import { errorsBySlice, type Slices } from './slices.ts'

/** How much is scored for it. */
export interface ExplainBudget {
  /** Rows that the run was trained on, each as often as it was: by itself, scoring takes about a sixth of that time at most. */
  trained: number
  /** Rows that importance is measured on; 0: not at all; left out: as many as the time allows, 2,000 at most, none for over 200 features. */
  importance?: number | undefined
}

/** Rows at most, and at least, where the data has them. */
const [MOST, FEW, SLICED] = [2000, 100, 20_000]
/** Features up to which each is dealt out where nobody asks: of thousands, the passes would take longer than the training. */
const MANY = 200
/** Repeats at most, and those of rows that were asked for. */
const [REPEATS, ASKED_REPEATS] = [5, 3]

/** Importance and errors by slice of a model over the rows it was evaluated on; what it has none of is left out. */
export async function explain(
  model: Model,
  data: Dataset,
  config: ResolvedTrainerConfig,
  { trained, importance: asked, raw }: ExplainBudget & { raw?: RawColumns | undefined },
): Promise<{ importance?: Importance | undefined; slices?: Slices | undefined }> {
  const features = featuresOf(model.inputs, raw)
  if (!features.length) return {}
  const { seed, per_device_eval_batch_size: batchSize, truncate } = config
  const how = { features, seed, batchSize, truncate }
  // A row is scored in about a third of the time of a step over it.
  const budget = trained / 3
  const allowed = Math.max(FEW, Math.floor(budget / (features.length + 1)))
  const rows = asked ?? (features.length > MANY ? 0 : Math.min(MOST, data.length, allowed))
  const repeats =
    asked === undefined
      ? Math.min(REPEATS, Math.max(1, Math.floor((budget / rows - 1) / features.length)))
      : ASKED_REPEATS
  const sliced = Math.min(SLICED, Math.max(FEW, Math.floor(budget / 2)))
  return {
    importance: rows
      ? await permutationImportance(model, data, { ...how, rows, repeats, figure: figureOf(model, config) })
      : undefined,
    slices: await errorsBySlice(model, data, { ...how, rows: sliced, raw }),
  }
}

/** The figure that says what is best where the run names one, or the first that a report shows. */
function figureOf(model: Model, config: ResolvedTrainerConfig): [string, Figure] {
  const { figures } = metricWith(model, [metricOf(config)])
  const name =
    config.metric_for_best_model === null
      ? (Object.keys(METRICS).find(
          name => Object.hasOwn(figures, name) && figures[name]!.better !== 'none',
        ) ?? 'loss')
      : metricOf(config)
  return [name, figures[name]!]
}
