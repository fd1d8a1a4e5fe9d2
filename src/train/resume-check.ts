// Whether what goes on from a checkpoint is the run that saved it: the model, what it reads, and the settings, key by key.
import { files } from '#files'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { isThere, readJson } from '../data/files.ts'
import { ConfigError } from '../errors.ts'
import { columnsOf, type Inputs, type ListInput } from '../inputs.ts'
import { createModel, type Model, type ModelClass, parseConfiguration } from '../models/index.ts'
import { configurationOf, makeModel } from '../models/registry.ts'
import { CONFIG_FILE } from './checkpoint.ts'

const { join } = files

/** What a run reads of its data, an entry an input, in the order that batches take it; `resume.json` holds it. */
export type Reads = [input: string, columns: string][]

/** What a model reads. */
export const readsOf = (inputs: Inputs): Reads =>
  Object.entries(inputs).map(([name, input]) => [
    name,
    input.kind === 'text'
      ? input.columns.map(column => `${column.name} (${column.dtype})`).join(', ')
      : input.kind === 'list'
        ? columnsOf(input).join(', ') + capOf(input)
        : columnsOf(input).join(', '),
  ])

/** How long a list may be: of another cap, other rows are trained on. */
const capOf = ({ longest, longer = 'refuse' }: ListInput): string =>
  longest === undefined ? '' : `, ${longest} rows at most (${longer})`

/** Settings that say what is read, trained and kept from step to step: with another value there is no going on. */
const FIXED: readonly string[] = [
  'per_device_train_batch_size',
  'per_device_train_batch_rows',
  'gradient_accumulation_steps',
  'seed',
  'shuffle',
  'fp16',
  'freeze',
  'optim',
  'stages',
  'distillation',
]

/** Model settings that change how training goes, and not what the model computes; and those that only its start depends on. */
const MAY_CHANGE = /(^|\.)(\w*dropout\w*|initializer_range|model_name|use_pretrained)$/
/** What PyTorch is told and nothing here reads. */
const UNREAD = /(^|\.)(qa_dropout|activation_function_kwargs|sinusoidal_pos_embds|position_embedding_type)$/

/** Keys that say where something lies: a teacher or a file may have moved, and is known again by what it holds. */
const PLACES: readonly string[] = ['teacher', 'train', 'eval']

/** A setting without the places of what it names. */
function withoutFolders(setting: unknown): unknown {
  if (Array.isArray(setting)) return setting.map(withoutFolders)
  if (!isObject(setting)) return setting
  const entries = Object.entries(setting).map(([key, value]) => [
    key,
    PLACES.includes(key) ? true : withoutFolders(value),
  ])
  return Object.fromEntries(entries)
}

type Warn = (message: string) => void

/**
 * Compares trainer settings with those a checkpoint was saved with.
 * @param ranks how many processes trained then, and train now: of both, what counts is the batch of all.
 * @throws ConfigError naming the key and both values of one that must not change; of others, `warn` is told.
 */
export function checkSettings(
  then: ResolvedTrainerConfig,
  now: ResolvedTrainerConfig,
  folder: string,
  warn: Warn,
  ranks: readonly [number, number] = [1, 1],
): void {
  if (ranks[0] !== ranks[1]) {
    checkBatches(then, now, folder, ranks)
    const [before, after] = [forAll(then, ranks[0]), forAll(now, ranks[1])]
    checkSettings(before, after, folder, warn)
    warn(
      `${folder} is of a run on ${ranks[0]} ranks, and there are ${ranks[1]}: gradients are added up in another order, and dropout masks are others`,
    )
    return
  }
  for (const key of new Set([...Object.keys(then), ...Object.keys(now)]) as Set<
    keyof ResolvedTrainerConfig
  >) {
    if (!differ(withoutFolders(then[key]), withoutFolders(now[key]))) continue
    const differs = `${key} is ${shown(now[key])}, and ${shown(then[key])} in ${folder}`
    if (FIXED.includes(key)) throw new ConfigError(`${differs}; a run can only go on with the same value`)
    warn(`${differs}: the run goes on with ${shown(now[key])}`)
  }
}

const PER_DEVICE = ['per_device_train_batch_size', 'per_device_train_batch_rows'] as const

/** Settings with the rows that a micro-batch of all ranks has, where they have those of a device. */
function forAll(config: ResolvedTrainerConfig, ranks: number): ResolvedTrainerConfig {
  const times = <T extends object>(one: T): T => {
    const rows = Object.entries(one).filter(([key, value]) => PER_DEVICE.some(name => name === key) && value)
    return { ...one, ...Object.fromEntries(rows.map(([key, value]) => [key, value * ranks])) }
  }
  return { ...times(config), stages: config.stages.map(times) }
}

/** @throws ConfigError where a micro-batch of all ranks has other rows than one had */
function checkBatches(
  then: ResolvedTrainerConfig,
  now: ResolvedTrainerConfig,
  folder: string,
  [before, after]: readonly [number, number],
): void {
  for (const key of PER_DEVICE) {
    const [old, own] = [(then[key] ?? 0) * before, (now[key] ?? 0) * after]
    if (old === own) continue
    const wanted = Number.isInteger(old / after)
      ? `set ${key} to ${old / after}`
      : `start a number of ranks that divides ${old}`
    throw new ConfigError(
      `${key} is ${shown(now[key])} on ${after} ranks, ${own} together, and ${shown(then[key])} on ${before} in ${folder}, ${old} together; a run can only go on with the same rows a batch: ${wanted}`,
    )
  }
}

/**
 * Compares a model and what it reads with those of a checkpoint: configuration by key, columns and their order, tokenizer.
 * @param reads as the checkpoint holds it; checkpoints of older versions do not.
 * @throws ConfigError naming the first key that differs and both values; of dropout, `warn` is told.
 */
export async function checkModel(
  folder: string,
  { model, reads }: { model: Model; reads: Reads | undefined },
  warn: Warn,
): Promise<void> {
  const path = join(folder, CONFIG_FILE)
  const json = await readJson(path)
  const Class = model.constructor as ModelClass
  // The model's own class, which need not be registered.
  const own = isObject(json) && json.architecture === Class.architecture
  const then = own
    ? makeModel(Class, configurationOf(Class, json, path))
    : createModel(parseConfiguration(json, path))
  compare(then.comparable(), model.comparable(), '', folder, warn)
  const before = new Map(Array.isArray(reads) ? reads : [])
  for (const [name, columns] of Array.isArray(reads) ? readsOf(model.inputs) : [])
    refuseIfOther(`what is read as '${name}'`, before.get(name) ?? 'nothing', columns, folder)
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
