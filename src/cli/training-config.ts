import {
  fillSizes,
  parseFeatureSizes,
  parseTrainingConfig,
  type ResolvedTrainingConfig,
} from '../config/index.ts'
import { readJson } from '../data/files.ts'

/**
 * Reads a training configuration; what it leaves out about the data's sizes comes from `features`, a features.json.
 * @throws ConfigError naming the file, the key and what was expected, or what the two files disagree about.
 */
export async function readTrainingConfig(path: string, features?: string): Promise<ResolvedTrainingConfig> {
  const config = await readJson(path)
  if (features === undefined) return parseTrainingConfig(config, path)
  const sizes = parseFeatureSizes(await readJson(features), features)
  return parseTrainingConfig(fillSizes(config, sizes, path, features), path)
}
