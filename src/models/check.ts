// What a user's model has and says of itself, checked before anything is read or trained: each message names the model.

import { shown } from '../check.ts'
import { isObject } from '../config/schema.ts'
import { ConfigError, KernelgradError } from '../errors.ts'
import { checkInputs } from '../inputs.ts'
import { Model } from './model.ts'
import type { ModelClass } from './registry.ts'

const METHODS = ['loss', 'scores', 'metrics', 'scoreNames'] as const

/** @throws ConfigError for what is no model class, saying what is missing */
export function checkClass(model: ModelClass): void {
  if (typeof model !== 'function' || !(model.prototype instanceof Model))
    throw new ConfigError(`${shown(model)} is no model, expected ${modelWanted(model)}`)
  const { name } = model
  if (typeof model.architecture !== 'string' || !model.architecture)
    throw new ConfigError(`${name} has no static architecture, expected its name in configurations`)
  if (typeof model.parse !== 'function' && !isObject(model.schema?.['~standard']))
    throw new ConfigError(
      `${name} has neither a static schema nor parse, expected one to read its configuration`,
    )
  checkMethods(model.prototype)
}

/** @throws ConfigError naming the methods that every model has, and this one has not */
export function checkMethods(model: Model): void {
  const missing = METHODS.filter(method => typeof model[method] !== 'function')
  if (missing.length)
    throw new ConfigError(`${model.constructor.name} lacks ${missing.join(', ')}, which every model has`)
}

/** What should stand where something is no model: with two copies of the library, a model of one is none to the other. */
export function modelWanted(given: unknown): string {
  if (given instanceof Model) return 'its class'
  const { prototype = given } = Object(given)
  const foreign =
    typeof prototype?.comparable === 'function' && typeof prototype.namedParameters === 'function'
  return foreign
    ? 'one that extends the Model of this copy of kernelgrad: it extends that of another, which `npm ls kernelgrad` shows'
    : 'a class that extends Model'
}

/**
 * Checks all that a model says of itself.
 * @throws ConfigError naming the model and what is missing or wrong
 */
export function checkModel(model: Model): void {
  const Class = model.constructor as ModelClass
  checkClass(Class)
  const name = Class.architecture
  checkInputs(name, model.inputs)
  if (model.config?.architecture !== name)
    throw new ConfigError(
      `${name}: config.architecture is ${shown(model.config?.architecture)}, expected '${name}': a saved model is found by it`,
    )
  const names = guarded(`${name}.scoreNames`, () => model.scoreNames())
  if (
    !Array.isArray(names) ||
    !names.length ||
    !names.every(one => one === null || (one && typeof one === 'string'))
  )
    throw new ConfigError(
      `${name}: scoreNames gives ${shown(names)}, expected a name or null for each column of scores`,
    )
  // Predictions are written beside the row's number and the classes.
  const taken = ['row', ...Object.values(model.inputs).flatMap(i => (i.kind === 'classes' ? [i.column] : []))]
  for (const one of names)
    if (one !== null && taken.push(one) > taken.indexOf(one) + 1)
      throw new ConfigError(
        `${name}: scoreNames has '${one}', which a file of predictions has already; expected another`,
      )
  const metric = guarded(`${name}.metrics`, () => model.metrics())
  const lacks = (['add', 'result'] as const).filter(method => typeof metric?.[method] !== 'function')
  if (lacks.length || !isObject(metric.figures?.loss))
    throw new ConfigError(
      `${name}: metrics gives ${shown(metric)}, expected a Metric, with add, result and figures, loss among them`,
    )
}

/** Runs what a model's author wrote: an error of the library's passes, another is told with its place, and is the cause. */
export function guarded<T>(what: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof KernelgradError) throw error
    const { message = shown(error) } = (error ?? {}) as { message?: string }
    throw new ConfigError(`${what} fails: ${message}`, { cause: error })
  }
}
