// Whether what goes on from a checkpoint is the run that saved it: the model, what it reads, and the settings, key by key.
import { files } from '#files'
import {
  embeddingTableOf,
  type FeaturesConfig,
  parseModelConfig,
  type ResolvedModelConfig,
  type ResolvedTrainerConfig,
} from '../config/index.ts'
import { isThere, readJson } from '../data/files.ts'
import type { Dataset } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import { CONFIG_FILE } from './checkpoint.ts'
import type { ClickModel } from './model.ts'

const { join } = files

/** What a run reads of its data; `resume.json` holds it. */
export interface Reads {
  /** Columns in the order that batches take them, each with how it is read. */
  features: [name: string, dtype: string][]
  /** The label's column; null for data that names none. */
  label: string | null
}

/** What a run reads. */
export const readsOf = ({ features, label }: Dataset): Reads => ({
  features: Object.entries(features).map(([name, { dtype }]) => [name, dtype]),
  label: label ?? null,
})

/** Settings that say what is read, trained and kept from step to step: with another value there is no going on. */
const FIXED: readonly string[] = [
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'seed',
  'shuffle',
  'fp16',
  'freeze',
  'optim',
  'stages',
]

/** Model settings that change how training goes, and not what the model computes; and those that only its start depends on. */
const MAY_CHANGE = /(^|\.)(\w*dropout\w*|initializer_range|model_name|use_pretrained)$/
/** What PyTorch is told and nothing here reads. */
const UNREAD = /(^|\.)(qa_dropout|activation_function_kwargs|sinusoidal_pos_embds|position_embedding_type)$/

type Warn = (message: string) => void

/**
 * Compares trainer settings with those a checkpoint was saved with.
 * @throws ConfigError naming the key and both values of one that must not change; of others, `warn` is told.
 */
export function checkSettings(
  then: ResolvedTrainerConfig,
  now: ResolvedTrainerConfig,
  folder: string,
  warn: Warn,
): void {
  for (const key of new Set([...Object.keys(then), ...Object.keys(now)]) as Set<
    keyof ResolvedTrainerConfig
  >) {
    if (!differ(then[key], now[key])) continue
    const differs = `${key} is ${shown(now[key])}, and ${shown(then[key])} in ${folder}`
    if (FIXED.includes(key)) throw new ConfigError(`${differs}; a run can only go on with the same value`)
    warn(`${differs}: the run goes on with ${shown(now[key])}`)
  }
}

/**
 * Compares a model and what it reads with those of a checkpoint: configuration by key, columns and their order, label, tokenizer.
 * @param reads as the checkpoint holds it; checkpoints of older versions do not.
 * @throws ConfigError naming the first key that differs and both values; of dropout, `warn` is told.
 */
export async function checkModel(
  folder: string,
  { model, train, reads }: { model: ClickModel; train: Dataset; reads: Reads | undefined },
  warn: Warn,
): Promise<void> {
  const path = join(folder, CONFIG_FILE)
  const then = parseModelConfig(await readJson(path), path)
  compare(plain(then), plain(model.config), '', folder, warn)
  const now = readsOf(train)
  if (reads) {
    const columns = ({ features }: Reads) => features.map(([name, dtype]) => `${name} (${dtype})`).join(', ')
    refuseIfOther('the columns that are read', columns(reads), columns(now), folder)
    if (reads.label !== null && now.label !== null)
      refuseIfOther('the label column', reads.label, now.label, folder)
  } else if (now.label !== null && now.label !== 'label')
    warn(
      `${folder} is of a version that did not note the label column: it is taken to be '${now.label}', as now`,
    )
  for (const [name, json] of Object.entries(model.tokenizer?.files ?? {})) {
    const file = join(folder, name)
    if (!(await isThere(file)))
      throw new ConfigError(`the tokenizer has ${name}, and ${folder} has none; ${REFUSED}`)
    compare(await readJson(file), json, `${name}: `, folder, warn)
  }
}

const REFUSED = 'a run can only go on with the model and the columns it began with'

function refuseIfOther(what: string, then: string, now: string, folder: string): void {
  if (then !== now) throw new ConfigError(`${what} is ${now}, and ${then} in ${folder}; ${REFUSED}`)
}

/** A configuration with what means the same written the same. Features are a list: their order counts. */
function plain(config: ResolvedModelConfig): unknown {
  const { features_config, mlp_config, pretrained_model_config, ...rest } = config
  return {
    ...rest,
    features_config: Object.keys(features_config).map(name => featureOf(features_config, name)),
    mlp_config: mlp_config?.length ? mlp_config : null,
    pretrained_model_config: { model_type: 'distilbert', ...pretrained_model_config },
  }
}

function featureOf(features: FeaturesConfig, name: string): object {
  const { dtype } = features[name]!
  return dtype === 'categorical' ? { name, dtype, table: embeddingTableOf(features, name) } : { name, dtype }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** Walks both values side by side, to the first key with different ones. */
function compare(then: unknown, now: unknown, at: string, folder: string, warn: Warn): void {
  if (UNREAD.test(at)) return
  if (isObject(then) && isObject(now) && Array.isArray(then) === Array.isArray(now)) {
    for (const key of new Set([...Object.keys(then), ...Object.keys(now)])) {
      const inner = Array.isArray(now) ? `${at}[${key}]` : /(^|: )$/.test(at) ? `${at}${key}` : `${at}.${key}`
      compare(then[key], now[key], inner, folder, warn)
    }
    return
  }
  if (!differ(then, now)) return
  const differs = `${at} is ${shown(now)}, and ${shown(then)} in ${folder}`
  if (!MAY_CHANGE.test(at)) throw new ConfigError(`${differs}; ${REFUSED}`)
  if (/dropout/.test(at)) warn(`${differs}: the run goes on with ${shown(now)}`)
}

const differ = (then: unknown, now: unknown) => JSON.stringify(then) !== JSON.stringify(now)

function shown(value: unknown): string {
  const text = value === undefined ? 'not set' : JSON.stringify(value)
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
