// The label of a table, and how much classes and rows count in the loss.
import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import type { ClassesInput, FloatsInput } from '../inputs.ts'
import { nonNegative, real, text } from './schema.ts'

const name = v.pipe(text, v.minLength(1, 'expected the name of a column'))

/** Keys of a configuration; none has a default, so that a configuration without them stays as it is. */
export const labelEntries = {
  label: v.optional(name),
  class_weights: v.optional(v.array(nonNegative, 'expected a list of numbers, one a class')),
  weight_column: v.optional(name),
  label_smoothing_factor: v.optional(real('from 0 to 1', x => x >= 0 && x <= 1)),
}

/** Which column is the label, and what counts how much in the loss. */
export interface LabelConfig {
  /** Column of classes, default 'label'. */
  label?: string | undefined
  /** How much each class counts in the loss: `weight` of PyTorch's cross-entropy. All alike unless given. */
  class_weights?: number[] | undefined
  /** Column of weights that rows have in the loss. */
  weight_column?: string | undefined
  /** Share of a label that is spread over all classes, default 0. */
  label_smoothing_factor?: number | undefined
}

/** @throws ConfigError naming the key where it does not fit the classes */
export function checkLabel(config: LabelConfig & { num_labels: number }, where: string): void {
  const { class_weights, num_labels, label = 'label', weight_column } = config
  if (class_weights && class_weights.length !== num_labels)
    throw new ConfigError(
      `${where}: class_weights has ${class_weights.length} weights, expected ${num_labels}, one for each of num_labels`,
    )
  if (class_weights?.every(weight => weight === 0))
    throw new ConfigError(`${where}: class_weights are all 0, expected one above it`)
  if (weight_column === label)
    throw new ConfigError(`${where}: weight_column '${weight_column}' is the label, expected another column`)
}

/** What of it a model reads, for training alone. */
export function labelInputs({
  label = 'label',
  weight_column,
  num_labels,
}: LabelConfig & { num_labels: number }): {
  labels: ClassesInput & { trainOnly: true }
  rowWeights?: FloatsInput & { trainOnly: true; lossOnly: true }
} {
  return {
    labels: { kind: 'classes', column: label, classes: num_labels, trainOnly: true },
    ...(weight_column === undefined
      ? {}
      : { rowWeights: { kind: 'floats', columns: [weight_column], trainOnly: true, lossOnly: true } }),
  }
}
