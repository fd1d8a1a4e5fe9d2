// Which models there are: `architecture` in a configuration names one.
import { type ModelConfig, parseTrainerConfig, type ResolvedTrainerConfig } from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import { checkInputs } from '../inputs.ts'
import { DistilBertForMaskedLM } from './masked-lm.ts'
import { Model, type ModelConfiguration } from './model.ts'
import { DistilBertForSequenceClassification } from './sequence-classification.ts'
import { TextTabularModel } from './text-tabular.ts'

/** A schema of valibot, zod, arktype or whatever else keeps to Standard Schema (https://standardschema.dev). */
export interface StandardSchema<T = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** The value with its defaults, or what is wrong with it. */
    validate(value: unknown): StandardResult<T> | Promise<StandardResult<T>>
  }
}
type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }
interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/**
 * A subclass of {@link Model} as configurations and saved folders find it. Its constructor takes the configuration, with every default.
 * One of `schema` and `parse` reads it.
 */
export interface ModelClass<M extends Model = Model> {
  new (config: never): M
  /** Its name in configurations. */
  readonly architecture: string
  /** Checks a configuration without `architecture`, and fills in defaults. */
  readonly schema?: StandardSchema
  /**
   * The same by hand, of parsed JSON with `architecture`.
   * @param where the file name, for messages.
   */
  readonly parse?: (json: unknown, where: string) => ModelConfiguration
}

const models = new Map<string, ModelClass>()

/**
 * Makes a model known by its `architecture`, so that configurations, saved folders and the command line find it. Known again under the
 * same name, the newer one counts.
 * @throws ConfigError for what is no model class, saying what is missing.
 */
export function registerModel(model: ModelClass): void {
  const name = (model as { name?: unknown } | undefined)?.name
  if (typeof model !== 'function' || !(model.prototype instanceof Model))
    throw new ConfigError(`${String(name ?? model)} is no model, expected a class that extends Model`)
  if (typeof model.architecture !== 'string' || !model.architecture)
    throw new ConfigError(`${name} has no static architecture, expected its name in configurations`)
  if (typeof model.parse !== 'function' && !isObject(model.schema?.['~standard']))
    throw new ConfigError(
      `${name} has neither a static schema nor parse, expected one to read its configuration`,
    )
  const missing = METHODS.filter(method => typeof model.prototype[method] !== 'function')
  if (missing.length) throw new ConfigError(`${name} lacks ${missing.join(', ')}, which every model has`)
  models.set(model.architecture, model)
}
const METHODS = ['loss', 'scores', 'metrics', 'scoreNames'] as const

for (const model of [TextTabularModel, DistilBertForSequenceClassification, DistilBertForMaskedLM])
  models.set(model.architecture, model)

/** Architectures that are known. */
export const architectures = (): string[] => [...models.keys()]

/**
 * Reads the configuration of a model and fills in the defaults; without `architecture`, it is a TextTabularModel's.
 * @param json parsed JSON.
 * @param where the file name, for messages.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseConfiguration(json: unknown, where: string): ModelConfiguration {
  const { architecture = TextTabularModel.architecture } = isObject(json) ? json : {}
  const model = classOf(architecture, where)
  if (model.parse) return model.parse(json, where)
  if (!isObject(json)) throw new ConfigError(`${where}: expected an object, got ${JSON.stringify(json)}`)
  const { architecture: _, ...own } = json
  return { ...(validated(model.schema!, own, where) as object), architecture: model.architecture }
}

function validated(schema: StandardSchema, json: unknown, where: string): unknown {
  const result = schema['~standard'].validate(json)
  if (result instanceof Promise)
    throw new ConfigError(`${where}: the schema answers with a promise, expected one that checks at once`)
  if (!result.issues) return result.value
  const { message, path = [] } = result.issues[0]!
  const keys = path.map(step => String(typeof step === 'object' ? step.key : step))
  throw new ConfigError([where, ...(keys.length ? [keys.join('.')] : []), message].join(': '))
}

function classOf(architecture: unknown, where: string): ModelClass {
  const model = models.get(architecture as string)
  if (!model)
    throw new ConfigError(
      `${where}: architecture: expected one of ${[...models.keys()].map(name => `'${name}'`).join(', ')}, got ${JSON.stringify(architecture)}; --architecture names the file of another`,
    )
  return model
}

/**
 * The model that a configuration describes; it has no memory yet.
 * @throws ConfigError naming the key that is wrong, or what the model's declaration lacks.
 */
export function createModel(config: ModelConfig): TextTabularModel | DistilBertForSequenceClassification
export function createModel<M extends Model = Model>(config: ModelConfiguration): M
export function createModel(config: ModelConfig | ModelConfiguration): Model {
  const resolved = parseConfiguration(config, 'the model configuration')
  const Class = classOf(resolved.architecture, 'the model configuration')
  const model = new Class(resolved as never)
  checkInputs(Class.architecture, model.inputs)
  return model
}

/** A model's configuration and how to train it, with every default. */
export type ResolvedRunConfig = ModelConfiguration & { trainer: ResolvedTrainerConfig }

/**
 * Reads the configuration of a training run, a model's with `trainer` beside its keys, and fills in the defaults.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseRunConfig(json: unknown, where: string): ResolvedRunConfig {
  const { trainer = {}, ...model } = isObject(json) ? json : {}
  if (!isObject(json)) throw new ConfigError(`${where}: expected an object, got ${JSON.stringify(json)}`)
  return { ...parseConfiguration(model, where), trainer: parseTrainerConfig(trainer, `${where}: trainer`) }
}
