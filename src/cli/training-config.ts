import {
  fillSizes,
  parseFeatureSizes,
  parseTrainingConfig,
  type ResolvedTrainingConfig,
} from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { readJson } from '../data/files.ts'
import { checkEncoder, pretrainedConfig } from '../train/index.ts'

/**
 * Reads a training configuration; what it leaves out about the data's sizes comes from `features`, a features.json. With
 * `use_pretrained`, encoder settings come from the folder `model_name`, and those that the file names under
 * `pretrained_model_config` replace them; `note` is told of what was left aside.
 * @throws ConfigError naming the file, the key and what was expected, or what two files disagree about; CheckpointError where
 * the folder's weights do not fit.
 */
export async function readTrainingConfig(
  path: string,
  features?: string,
  note?: (text: string) => void,
): Promise<ResolvedTrainingConfig> {
  let json = await readJson(path)
  if (features !== undefined)
    json = fillSizes(json, parseFeatureSizes(await readJson(features), features), path, features)
  if (!isObject(json) || json.use_pretrained !== true || typeof json.model_name !== 'string')
    return parseTrainingConfig(json, path)
  const { pretrained_model_config: own = {} } = json
  const saved = await pretrainedConfig(json.model_name, { note })
  const merged = isObject(own) ? { ...saved, ...own } : own
  const config = parseTrainingConfig({ ...json, pretrained_model_config: merged }, path)
  await checkEncoder(config.pretrained_model_config, json.model_name)
  return config
}
