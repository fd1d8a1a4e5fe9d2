// A configuration that says how its encoder is pretrained: that run comes first, in a folder of its own below the model's.
import { join } from 'node:path'
import { encoderShape } from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { isThere, readJson } from '../data/files.ts'
import { ConfigError, UsageError } from '../errors.ts'
import {
  createModel,
  DistilBertForMaskedLM,
  type Model,
  type ModelConfiguration,
  parseRunConfig,
  tokenizerOf,
} from '../models/index.ts'
import { listCheckpoints } from '../train/checkpoint-folder.ts'
import { CONFIG_FILE, WEIGHTS_FILE } from '../train/index.ts'
import { ARGUMENTS_FILE } from '../train/trainer-checkpoint.ts'
import type { TrainOptions } from './commands/train.ts'
import { readRun } from './inputs.ts'

/** Where the pretraining of a run is, below its own folder. */
const PRETRAINING = 'pretrain'

/** Two runs in the order they are made: what each is asked for, and the configuration that stands for its file. */
export interface PretrainedRun {
  /** undefined where it is over. */
  pretraining: { options: TrainOptions; json: Record<string, unknown> } | undefined
  model: { options: TrainOptions; json: Record<string, unknown> }
}

const filesOf = (value: unknown, where: string): string[] | undefined => {
  if (value === undefined) return undefined
  const files = [value].flat()
  if (files.length && files.every(file => typeof file === 'string' && file)) return files as string[]
  throw new ConfigError(`${where} is ${JSON.stringify(value)}, expected a file's name, or a list of them`)
}

/**
 * What `pretrain` of a configuration comes to, checked as far as can be before either run: both configurations, that the encoders are alike, and
 * the rows of the model's own training.
 * @throws ConfigError naming the key that cannot be; DataError for rows that the model cannot train on
 */
export async function planPretraining(
  { pretrain, ...own }: Record<string, unknown>,
  options: TrainOptions,
): Promise<PretrainedRun> {
  const { config: path, out, resume } = options
  const where = `${path}: ${PRETRAINING}`
  if (!isObject(pretrain))
    throw new ConfigError(
      `${where} is ${JSON.stringify(pretrain)}, expected a training configuration with 'train', the files of it`,
    )
  for (const key of ['model_name', 'use_pretrained'])
    if (own[key] !== undefined && own[key] !== false)
      throw new ConfigError(
        `${path} has both ${PRETRAINING} and ${key}, expected one of them: what an encoder starts from`,
      )
  if (options.initFrom !== undefined)
    throw new UsageError(`--init-from and ${PRETRAINING} in ${path}: expected one of them`)
  if (typeof resume === 'string')
    throw new UsageError(
      `--resume ${resume}: with ${PRETRAINING} in ${path}, expected --resume alone: it goes on with the newest checkpoint of whichever run was stopped`,
    )
  const { train: trainFiles, eval: evalFiles, ...rest } = pretrain
  const train = filesOf(trainFiles, `${where}.train`)
  if (!train) throw new ConfigError(`${where}.train is missing, expected the files to pretrain on`)
  const first = { architecture: DistilBertForMaskedLM.architecture, ...rest }
  const { trainer, ...config } = parseRunConfig(first, where)
  const encoders = Object.values(createModel(config).encoders())
  if (encoders.length !== 1)
    throw new ConfigError(`${where}: ${config.architecture} has ${encoders.length} encoders, expected one`)
  const folder = join(out, PRETRAINING)
  await checkModel(own, encoders[0]!.config as object, options)
  const done = resume !== undefined && (await isThere(join(folder, WEIGHTS_FILE)))
  if (done) await expectSame(folder, config, trainer, where)
  const begun = async (run: string) => resume !== undefined && (await listCheckpoints(run)).length > 0
  const pretraining: TrainOptions = {
    ...options,
    out: folder,
    train,
    eval: filesOf(evalFiles, `${where}.eval`),
    resume: (await begun(folder)) || undefined,
  }
  return {
    pretraining: done ? undefined : { options: pretraining, json: first },
    model: {
      options: { ...options, resume: (done && (await begun(out))) || undefined },
      json: { ...own, model_name: folder, use_pretrained: true },
    },
  }
}

/** The model as it will be, and its rows, which are read again when it is its turn. */
async function checkModel(own: object, encoder: object, options: TrainOptions): Promise<void> {
  const { config: path } = options
  const { pretrained_model_config: asked = {} } = own as { pretrained_model_config?: unknown }
  const merged = isObject(asked) ? { ...encoder, ...asked } : asked
  const { trainer, ...config } = parseRunConfig({ ...own, pretrained_model_config: merged }, path)
  const model = createModel<Model>(config)
  const shape = encoderShape(encoder as never) as unknown as Record<string, unknown>
  for (const [role, { config: has }] of Object.entries(model.encoders()))
    for (const [key, value] of Object.entries(encoderShape(has) as unknown as Record<string, unknown>))
      if (typeof value === 'number' && /dim|layers|heads|vocab|positions/.test(key) && value !== shape[key])
        throw new ConfigError(
          `${path}: ${role} has ${key} ${value}, and ${PRETRAINING} ${shape[key]}, expected the same encoder; leave it out of pretrained_model_config`,
        )
  model.tokenizer = await tokenizerOf(model, undefined)
  await readRun(options, model, options.truncate ? { ...trainer, truncate: true } : trainer)
}

async function expectSame(
  folder: string,
  config: ModelConfiguration,
  trainer: object,
  where: string,
): Promise<void> {
  for (const [name, now] of [
    [CONFIG_FILE, config],
    [ARGUMENTS_FILE, trainer],
  ] as const) {
    const path = join(folder, name)
    if (JSON.stringify(await readJson(path)) !== JSON.stringify(now))
      throw new ConfigError(
        `${where} is not what ${path} says: that pretraining is over, and a run can only go on from it as it is; name a new --out`,
      )
  }
}
