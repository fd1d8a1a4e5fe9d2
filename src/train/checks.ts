// What the calls of this room are given, before anything is read, recorded or written.
import { COUNT, expectFlag, expectFunction, expectNumber, expectOptions, shown } from '../check.ts'
import { checkColumns } from '../data/check-columns.ts'
import type { Columns } from '../data/index.ts'
import { ArgumentError, DataError, KernelgradError } from '../errors.ts'
import { DistilBertForSequenceClassification, Module, TextTabularModel } from '../nn/index.ts'
import type { ClickModel } from './model.ts'

/** @throws ArgumentError for what is no click model; KernelgradError for one that is on no device */
export function expectModel(
  where: string,
  model: unknown,
  { placed = true } = {},
): asserts model is ClickModel {
  if (!(model instanceof TextTabularModel || model instanceof DistilBertForSequenceClassification)) {
    const hint = model instanceof Promise ? '; await it first' : ''
    throw new ArgumentError(
      `${where}: model is ${shown(model)}, expected a TextTabularModel or a DistilBertForSequenceClassification${hint}`,
    )
  }
  if (placed) expectPlaced(where, model)
}

/** @throws ArgumentError for what is no module; KernelgradError for one that is on no device */
export function expectModule(
  where: string,
  module: unknown,
  { placed = true } = {},
): asserts module is Module {
  if (!(module instanceof Module))
    throw new ArgumentError(`${where}: model is ${shown(module)}, expected a module`)
  if (placed) expectPlaced(where, module)
}

function expectPlaced(where: string, module: Module): void {
  if (!module.placed)
    throw new KernelgradError(
      `${where}: model, a ${module.constructor.name}, is on no device yet; call model.to(gpu) first`,
    )
}

const PREDICT = ['batchSize', 'truncate', 'onBatch']

/** @throws ConfigError naming the option that is unknown or out of range */
export function checkPredictOptions(where: string, options: unknown, ...more: string[]): void {
  expectOptions(`${where}: options`, options, [...PREDICT, ...more])
  const { batchSize, truncate, onBatch, onEvaluation, requireLabels, extra } = options as Record<
    string,
    unknown
  >
  if (batchSize !== undefined) expectNumber(`${where}: batchSize`, batchSize, COUNT)
  if (truncate !== undefined) expectFlag(`${where}: truncate`, truncate)
  if (requireLabels !== undefined) expectFlag(`${where}: requireLabels`, requireLabels)
  if (onBatch !== undefined) expectFunction(`${where}: onBatch`, onBatch)
  if (onEvaluation !== undefined) expectFunction(`${where}: onEvaluation`, onEvaluation)
  if (extra !== undefined && !Array.isArray(extra))
    throw new ArgumentError(`${where}: extra is ${shown(extra)}, expected an array of column names`)
}

/** @throws ArgumentError or DataError for what is no data set with labels of the classes, and rows */
export function checkLabelled(where: string, data: Columns, classes: number): void {
  checkColumns(where, data)
  if (data.length === 0) throw new DataError(`${where} has no rows, expected at least one`)
  const { labels } = data
  if (!labels) throw new KernelgradError(`${where} needs labels, and the data has none`)
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row]!
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new DataError(
        `${where}: labels, row ${data.rowStart + row}: value ${shown(label)}, expected 0 to ${classes - 1} (num_labels ${classes})`,
      )
  }
}

/** @throws ArgumentError unless `value` is a folder's or file's name */
export function expectPath(where: string, value: unknown): void {
  if (typeof value !== 'string' || value === '')
    throw new ArgumentError(`${where} is ${value === '' ? 'empty' : shown(value)}, expected a path`)
}
