// What the calls of this room are given, before anything is read, recorded or written.
import { Tensor } from '../autograd/index.ts'
import {
  COUNT,
  expectFlag,
  expectFunction,
  expectNumber,
  expectOneOf,
  expectOptions,
  NATURAL,
  shown,
} from '../check.ts'
import { checkColumns, expectInputs } from '../data/check-columns.ts'
import type { Columns } from '../data/index.ts'
import { TRAIN_ONLY } from '../data/read-plan.ts'
import { ArgumentError, DataError, KernelgradError } from '../errors.ts'
import type { Input } from '../inputs.ts'
import { checkMethods, modelWanted } from '../models/check.ts'
import { Model } from '../models/index.ts'
import { Module } from '../nn/index.ts'
import { expectRanks } from '../ranks/given.ts'

/** @throws ArgumentError for what is no model; KernelgradError for one that is on no device */
export function expectModel(where: string, model: unknown, { placed = true } = {}): asserts model is Model {
  if (!(model instanceof Model)) {
    const wanted =
      model instanceof Promise
        ? 'a Model, as createModel() gives; await it first'
        : modelWanted(model).replace('a class that extends Model', 'a Model, as createModel() gives')
    throw new ArgumentError(`${where}: model is ${shown(model)}, expected ${wanted}`)
  }
  checkMethods(model)
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

const PREDICT = ['batchSize', 'truncate', 'onBatch', 'metric', 'groups', 'seed', 'ranks']

/** @throws ConfigError naming the option that is unknown or out of range */
export function checkPredictOptions(where: string, options: unknown, ...more: string[]): void {
  expectOptions(`${where}: options`, options, [...PREDICT, ...more])
  const { batchSize, truncate, seed, onBatch, onEvaluation, trainOnly, extra, ranks } = options as Record<
    string,
    unknown
  >
  if (batchSize !== undefined) expectNumber(`${where}: batchSize`, batchSize, COUNT)
  if (truncate !== undefined) expectFlag(`${where}: truncate`, truncate)
  if (seed !== undefined) expectNumber(`${where}: seed`, seed, NATURAL)
  if (trainOnly !== undefined) expectOneOf(`${where}: trainOnly`, trainOnly, TRAIN_ONLY)
  if (ranks !== undefined) expectRanks(`${where}: ranks`, ranks)
  if (onBatch !== undefined) expectFunction(`${where}: onBatch`, onBatch)
  if (onEvaluation !== undefined) expectFunction(`${where}: onEvaluation`, onEvaluation)
  if (extra !== undefined && !Array.isArray(extra))
    throw new ArgumentError(`${where}: extra is ${shown(extra)}, expected an array of column names`)
}

/** Whether data has what the loss reads, all of it or what a model is judged by. */
export type Loss = boolean | 'judged'

/** Whether an input's columns must be there. */
export const isRead = ({ trainOnly, lossOnly }: Input, loss: Loss): boolean =>
  !trainOnly || loss === true || (loss === 'judged' && !lossOnly)

/**
 * Checks data that a model learns from or is judged by, which has what its loss reads, unless none is asked for.
 * @throws ArgumentError or DataError naming the column, and the row of a class that is none
 */
export function checkData(
  where: string,
  data: Columns,
  { inputs, config }: Model,
  { loss = true }: { loss?: Loss } = {},
): void {
  checkColumns(where, data)
  if (data.length === 0) throw new DataError(`${where} has no rows, expected at least one`)
  const all = Object.entries(inputs).map(([name, input]) => [
    name,
    { ...input, trainOnly: !isRead(input, loss) },
  ])
  expectInputs(where, data, Object.fromEntries(all), config.architecture)
  for (const input of Object.values(inputs)) {
    if (input.kind !== 'classes' || !isRead(input, loss)) continue
    const classes = data.ids[input.column]!
    for (let row = 0; row < data.length; row++)
      if (!(Number.isInteger(classes[row]) && classes[row]! >= 0 && classes[row]! < input.classes))
        throw new DataError(
          `${where}: column '${input.column}', row ${data.rowStart + row}: value ${shown(classes[row])}, expected 0 to ${input.classes - 1}`,
        )
  }
}

/** @throws ArgumentError unless a model's loss or scores are a tensor */
export function expectTensor(
  model: Model,
  what: 'loss' | 'scores' | 'logits',
  value: unknown,
): asserts value is Tensor {
  if (!(value instanceof Tensor))
    throw new ArgumentError(`${model.constructor.name}: ${what} gives ${shown(value)}, expected a tensor`)
}

/** @throws ArgumentError unless `value` is a folder's or file's name */
export function expectPath(where: string, value: unknown): void {
  if (typeof value !== 'string' || value === '')
    throw new ArgumentError(`${where} is ${value === '' ? 'empty' : shown(value)}, expected a path`)
}
