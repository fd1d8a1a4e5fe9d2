import { fillSizes, parseSizes } from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { readJson } from '../data/files.ts'
import { createModel, parseRunConfig, type ResolvedRunConfig } from '../models/index.ts'
import { checkMetricOfRun } from '../train/best-metric.ts'
import { checkEncoder, pretrainedConfig } from '../train/index.ts'

/** What a training configuration may lean on. */
export interface ConfigSources {
  /** A features.json. */
  features?: string | undefined
  /** Which model it is, whatever the file says. */
  architecture?: string | undefined
  /** Cut long texts, whatever the file says. */
  truncate?: boolean | undefined
  /** What training rows may take in memory, whatever the file says. */
  memory?: number | undefined
  /** What stands for the file's content. */
  json?: Record<string, unknown> | undefined
  /** Told which keys of a saved encoder are left aside. */
  note?: (text: string) => void
}

/**
 * Reads a training configuration; what it leaves out about the data's sizes comes from `features`, a features.json. With
 * `use_pretrained`, encoder settings come from the folder `model_name`, and those that the file names under
 * `pretrained_model_config` replace them; `note` is told of what was left aside.
 * @throws ConfigError naming the file, the key and what was expected, or what two files disagree about; CheckpointError where
 * the folder's weights do not fit.
 */
export async function readTrainingConfig(
  path: string,
  { features, architecture, truncate, memory, note, json: given }: ConfigSources = {},
): Promise<ResolvedRunConfig> {
  let json = given ?? (await readJson(path))
  if (architecture !== undefined && isObject(json)) json = { ...json, architecture }
  if (features !== undefined)
    json = fillSizes(json, parseSizes(await readJson(features), features), path, features)
  if (!isObject(json) || json.use_pretrained !== true || typeof json.model_name !== 'string')
    return parse(json, path, { truncate, memory })
  const { pretrained_model_config: own = {} } = json
  const saved = await pretrainedConfig(json.model_name, { note })
  const merged = isObject(own) ? { ...saved, ...own } : own
  const config = parse({ ...json, pretrained_model_config: merged }, path, { truncate, memory })
  const { trainer: _, ...model } = config
  for (const [role, encoder] of Object.entries(createModel(model).encoders()))
    await checkEncoder(encoder.config, json.model_name, { role })
  return config
}

function parse(
  json: unknown,
  path: string,
  { truncate = false, memory }: Pick<ConfigSources, 'truncate' | 'memory'>,
): ResolvedRunConfig {
  const config = parseRunConfig(json, path)
  const { trainer, ...model } = config
  checkMetricOfRun(trainer, createModel(model), `${path}: trainer: `)
  if (truncate) trainer.truncate = true
  if (memory !== undefined) trainer.memory = memory
  return config
}
