// How good a model is: the same figures during training, and of a file afterwards.
import type { Dataset } from '../data/index.ts'
import type { Metric } from '../metrics/index.ts'
import type { Model } from '../models/index.ts'
import { checkData, checkPredictOptions, expectModel } from './checks.ts'
import { type PredictOptions, predict } from './predict.ts'

/** How to evaluate. */
export interface EvaluateOptions extends Omit<PredictOptions, 'metric' | 'groups'> {
  /** Gets the metric with every row in it, for curves. */
  onEvaluation?: (metric: Metric) => void
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
  checkPredictOptions('evaluate', given, 'onEvaluation')
  checkData('evaluate', data, model, { loss: 'judged' })
  const { onEvaluation, ...options } = given
  const metric = model.metrics({ rows: data.length })
  await predict(model, data, { ...options, metric })
  onEvaluation?.(metric)
  return metric.result()
}
