import type { Dataset } from '../data/index.ts'
import { KernelgradError } from '../errors.ts'
import { accuracy, binaryMetrics, logLossMulti } from './metrics.ts'
import type { ClickModel } from './model.ts'
import { clickProbability, predict } from './predict.ts'

/** Loss and metrics over a labelled data set: loss is the mean cross-entropy; binary models add log_loss, roc_auc, pr_auc. */
export async function evaluate(
  model: ClickModel,
  data: Dataset,
  options: { batchSize?: number; truncate?: boolean; onBatch?: (rows: number) => void } = {},
): Promise<{ loss: number } & Record<string, number>> {
  if (!data.labels) throw new KernelgradError('evaluation needs labels, and the data has none')
  const probabilities = await predict(model, data, options)
  return metricsOf(data.labels, probabilities, model.config.num_labels)
}

/** What `evaluate` returns, of probabilities [rows, C] already there. */
export function metricsOf(
  labels: Uint32Array,
  probabilities: Float32Array,
  C: number,
): { loss: number } & Record<string, number> {
  const loss = logLossMulti(labels, probabilities, C)
  if (C > 2) return { loss, accuracy: accuracy(labels, probabilities, C) }
  return { loss, ...binaryMetrics(labels, clickProbability(probabilities)) }
}
