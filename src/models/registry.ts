// Which models there are: `architecture` in a configuration names one.

import { shown } from '../check.ts'
import {
  type ModelConfig,
  parseTrainerConfig,
  type ResolvedTrainerConfig,
  type TabularConfig,
} from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import { checkClass, checkModel, guarded } from './check.ts'
import { CrossEncoder } from './cross-encoder.ts'
import type { DetextConfig } from './detext/config.ts'
import { DetextModel } from './detext.ts'
import { type LateFusionConfig, LateFusionModel } from './late-fusion.ts'
import { DistilBertForMaskedLM } from './masked-lm.ts'
import type { Model, ModelConfiguration } from './model.ts'
import { DistilBertForSequenceClassification } from './sequence-classification.ts'
import { TabularModel } from './table.ts'
import { TabularRanker } from './tabular-ranker.ts'
import { TextTabularModel } from './text-tabular.ts'
import { type TwinConfig, TwinModel } from './twin.ts'

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
  checkClass(model)
  models.set(model.architecture, model)
}

for (const model of [
  TextTabularModel,
  DistilBertForSequenceClassification,
  DistilBertForMaskedLM,
  TwinModel,
  LateFusionModel,
  TabularRanker,
  CrossEncoder,
  DetextModel,
  TabularModel,
])
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
  return configurationOf(classOf(architecture, where), json, where)
}

/**
 * Reads the configuration of a class, which need not be registered.
 * @throws ConfigError naming file, class and key; also for a `parse` or schema that fails, or gives no configuration of the class
 */
export function configurationOf(model: ModelClass, json: unknown, where: string): ModelConfiguration {
  const { architecture } = model
  if (!model.parse && !isObject(json))
    throw new ConfigError(`${where}: expected an object, got ${JSON.stringify(json)}`)
  const means = `${where}: ${architecture}.${model.parse ? 'parse' : 'schema'}`
  const config = guarded(means, () => {
    if (model.parse) return model.parse(json, where)
    const { architecture: _, ...own } = json as Record<string, unknown>
    return validated(model.schema!, own, where)
  })
  if (!isObject(config) || config instanceof Promise)
    throw new ConfigError(`${means} gives ${shown(config)}, expected the configuration, an object`)
  if (!model.parse) return { ...config, architecture }
  if (config.architecture === architecture) return config as unknown as ModelConfiguration
  throw new ConfigError(
    `${means} gives the architecture ${shown(config.architecture)}, expected '${architecture}', as config.json will hold it`,
  )
}

function validated(schema: StandardSchema, json: unknown, where: string): unknown {
  const result = schema['~standard'].validate(json)
  if (result instanceof Promise)
    throw new ConfigError(`${where}: the schema answers with a promise, expected one that checks at once`)
  if (!isObject(result))
    throw new ConfigError(
      `${where}: the schema answers with ${shown(result)}, expected { value } or { issues }`,
    )
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
export function createModel(config: TabularConfig & { architecture: 'TabularModel' }): TabularModel
export function createModel(config: TwinConfig & { architecture: 'TwinModel' }): TwinModel
export function createModel(config: LateFusionConfig & { architecture: 'LateFusionModel' }): LateFusionModel
export function createModel(config: DetextConfig & { architecture: 'DetextModel' }): DetextModel
export function createModel<M extends Model = Model>(config: ModelConfiguration): M
export function createModel(
  config: ModelConfig | TabularConfig | TwinConfig | LateFusionConfig | DetextConfig | ModelConfiguration,
): Model {
  const resolved = parseConfiguration(config, 'the model configuration')
  return makeModel(classOf(resolved.architecture, 'the model configuration'), resolved)
}

/** {@link createModel} of a class, which need not be registered, and its configuration with every default. */
export function makeModel(Class: ModelClass, config: ModelConfiguration): Model {
  const model = guarded(`${Class.architecture}: its constructor`, () => new Class(config as never))
  checkModel(model)
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
