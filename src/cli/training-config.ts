import {
  fillSizes,
  parseFeatureSizes,
  parseTrainingConfig,
  type ResolvedTrainingConfig,
} from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { readJson } from '../data/files.ts'
import { checkBestMetric, checkEncoder, pretrainedConfig } from '../train/index.ts'

/** What goes into a configuration besides its file. */
interface ReadingOptions {
  /** A features.json. */
  features?: string | undefined
  /** Cut long texts, whatever the file says. */
  truncate?: boolean | undefined
  /** Told what of a saved encoder's configuration was left aside. */
  note?: ((text: string) => void) | undefined
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
  { features, truncate, note }: ReadingOptions = {},
): Promise<ResolvedTrainingConfig> {
  let json = await readJson(path)
  if (features !== undefined)
    json = fillSizes(json, parseFeatureSizes(await readJson(features), features), path, features)
  if (!isObject(json) || json.use_pretrained !== true || typeof json.model_name !== 'string')
    return parse(json, path, truncate)
  const { pretrained_model_config: own = {} } = json
  const saved = await pretrainedConfig(json.model_name, { note })
  const merged = isObject(own) ? { ...saved, ...own } : own
  const config = parse({ ...json, pretrained_model_config: merged }, path, truncate)
  await checkEncoder(config.pretrained_model_config, json.model_name)
  return config
}

function parse(json: unknown, path: string, truncate = false): ResolvedTrainingConfig {
  const config = parseTrainingConfig(json, path)
  checkBestMetric(config.trainer, config.num_labels, `${path}: trainer: `)
  if (truncate) config.trainer.truncate = true
  return config
}
