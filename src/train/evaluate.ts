// How good a model is: the same figures during training, and of a file afterwards.

import { shown } from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import type { Dataset } from '../data/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import type { Metric } from '../metrics/index.ts'
import type { Model } from '../models/index.ts'
import { metricOf, metricWith } from './best-metric.ts'
import { checkData, checkPredictOptions, expectModel } from './checks.ts'
import { type PredictOptions, predict } from './predict.ts'
import type { CheckedOptions } from './trainer-options.ts'

/** How to evaluate. */
export interface EvaluateOptions extends Omit<PredictOptions, 'metric' | 'groups'> {
  /** Gets the metric with every row in it, for curves. */
  onEvaluation?: (metric: Metric) => void
  /** Figures beside the model's own by name, as ndcg@3 of lists; one that it does not know is an error. */
  also?: readonly string[]
}

/**
 * A model's own figures over a data set that has what its loss reads; `loss` is among them.
 * @throws DataError when the data has no labels.
 *
 * @example
 * ```ts
 * import { evaluate } from 'kernelgrad'
 *
 * const { loss, roc_auc } = await evaluate(model, dataset)
 * ```
 */
export async function evaluate(
  model: Model,
  data: Dataset,
  given: EvaluateOptions = {},
): Promise<{ loss: number } & Record<string, number>> {
  expectModel('evaluate', model)
  checkPredictOptions('evaluate', given, 'onEvaluation', 'also')
  checkData('evaluate', data, model, { loss: 'judged' })
  const { onEvaluation, also = [], ...options } = given
  if (!Array.isArray(also))
    throw new ArgumentError(`evaluate: also is ${shown(also)}, expected an array of figures by name`)
  const metric = metricWith(model, also, { rows: data.length })
  const unknown = also.find(name => !Object.hasOwn(metric.figures, name))
  if (unknown !== undefined)
    throw new ConfigError(
      `evaluate: also names ${shown(unknown)}, expected one of ${Object.keys(metric.figures).join(', ')}`,
    )
  await predict(model, data, { ...options, metric })
  onEvaluation?.(metric)
  return metric.result()
}

/** What a run logs of an evaluation, the figure that says what is best among it. */
export async function evaluateRun(
  { model, ranks, onEvaluation }: CheckedOptions,
  data: Dataset,
  config: ResolvedTrainerConfig,
  step: number,
): Promise<Record<string, number>> {
  const { per_device_eval_batch_size: batchSize, truncate } = config
  const how = { batchSize, truncate, ranks, also: [metricOf(config)] }
  const found = await evaluate(model, data, { ...how, onEvaluation: done => onEvaluation?.(done, step) })
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [`eval_${name}`, value]))
}
