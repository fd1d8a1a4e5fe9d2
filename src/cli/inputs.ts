// What a command reads, checked before the device is opened.
import {
  parseTrainingConfig,
  type ResolvedModelConfig,
  type ResolvedTrainingConfig,
} from '../config/index.ts'
import { readJson } from '../data/files.ts'
import { type Columns, type Dataset, loadDataset, openParquet, type TextTokenizer } from '../data/index.ts'
import { DataError } from '../errors.ts'
import { checkEncoder, pretrainedConfig, readOptions } from '../train/index.ts'

/**
 * Reads a training configuration. With `use_pretrained`, encoder settings come from the folder `model_name`, and those that the
 * file names under `pretrained_model_config` replace them.
 * @throws ConfigError naming the file and the key; CheckpointError where the folder's weights do not fit.
 */
export async function readTrainingConfig(path: string): Promise<ResolvedTrainingConfig> {
  const json = await readJson(path)
  if (!isRecord(json) || json.use_pretrained !== true || typeof json.model_name !== 'string')
    return parseTrainingConfig(json, path)
  const { pretrained_model_config: own = {} } = json
  const saved = await pretrainedConfig(json.model_name)
  const merged = isRecord(own) ? { ...saved, ...own } : own
  const config = parseTrainingConfig({ ...json, pretrained_model_config: merged }, path)
  await checkEncoder(config.pretrained_model_config, json.model_name)
  return config
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Reads the rows of labelled files into memory, as a model takes them.
 * @throws DataError naming file, column, row and value of the first bad one, too long a text included.
 */
export async function readRows(
  paths: readonly string[],
  config: ResolvedModelConfig,
  { truncate, tokenizer }: { truncate: boolean; tokenizer?: TextTokenizer | undefined },
): Promise<Dataset> {
  // Every footer is read before the first file's data.
  const files = await Promise.all(paths.map(path => openParquet(path)))
  const data = await loadDataset(files, readOptions(config, { tokenizer }))
  if (!truncate) checkTextLengths(data, config.pretrained_model_config.max_position_embeddings)
  return data
}

function checkTextLengths(data: Dataset, longest: number): void {
  for (let row = 0; row < data.length; row++) {
    const length = textLength(data, row)
    if (length <= longest) continue
    const { name, rowStart } = data.files.findLast(file => file.rowStart <= row)!
    throw new DataError(
      `${name}: row ${row - rowStart} has a text of ${length} tokens, expected at most ${longest} (max_position_embeddings)`,
    )
  }
}

function textLength({ lists }: Columns, row: number): number {
  let length = 0
  for (const { offsets } of Object.values(lists)) length += offsets[row + 1]! - offsets[row]!
  return length
}
