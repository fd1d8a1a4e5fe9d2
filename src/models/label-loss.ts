// What a model of classes is trained on, where it is more than the mean cross-entropy: weights of classes and rows, smoothing.
import { crossEntropy, labelCrossEntropy, type Tensor, tensor } from '../autograd/index.ts'
import { toFloats } from '../check.ts'
import type { LabelConfig } from '../config/index.ts'
import { DataError, ShapeError } from '../errors.ts'
import { noLabels } from './click.ts'

/** What of a batch the loss reads. */
interface Labelled {
  size: number
  labels?: Uint32Array | undefined
  rowWeights?: Record<string, ArrayLike<number>> | undefined
  rows?: ArrayLike<number>
}

/**
 * [1], the cross-entropy of logits [B, C] by the configuration: PyTorch's, with `weight`, `label_smoothing` and a weight a row.
 * @throws ConfigError for a batch without labels; DataError naming the row of a weight that is negative.
 */
export function lossByConfig(
  model: string,
  logits: Tensor,
  batch: Labelled,
  { class_weights, label_smoothing_factor, weight_column }: LabelConfig,
): Tensor {
  const { labels } = batch
  if (!labels) throw noLabels(model)
  const { gpu } = logits
  const targets = tensor(gpu, labels)
  const smoothing = label_smoothing_factor || undefined
  if (!class_weights && !smoothing && weight_column === undefined) return labelCrossEntropy(logits, targets)
  const weights = weight_column === undefined ? undefined : rowWeights(model, batch, weight_column)
  return crossEntropy(logits, targets, {
    ...(class_weights ? { weight: tensor(gpu, Float32Array.from(class_weights)) } : {}),
    ...(weights ? { rowWeights: tensor(gpu, weights) } : {}),
    ...(smoothing ? { labelSmoothing: smoothing } : {}),
  })
}

function rowWeights(
  model: string,
  { size, rowWeights: given, rows }: Labelled,
  column: string,
): Float32Array {
  const where = `${model}: column '${column}'`
  const weights = toFloats(where, given?.[column])
  if (weights.length !== size)
    throw new ShapeError(`${where} has ${weights.length} rows, expected ${size}, the batch's size`)
  const wrong = weights.findIndex(weight => !(weight >= 0 && weight < Infinity))
  if (wrong < 0) return weights
  throw new DataError(
    `${where}, row ${rows?.[wrong] ?? wrong}: value ${weights[wrong]}, expected a weight of at least 0`,
  )
}

/** The weight of a batch's rows, where rows weigh differently. */
export function weightByConfig(
  model: string,
  batch: Labelled,
  { class_weights, weight_column }: LabelConfig,
): number | undefined {
  const { labels } = batch
  if (!labels || (!class_weights && weight_column === undefined)) return undefined
  const rows = weight_column === undefined ? undefined : rowWeights(model, batch, weight_column)
  return labels.reduce((sum, label, i) => sum + (class_weights?.[label] ?? 1) * (rows?.[i] ?? 1), 0)
}
