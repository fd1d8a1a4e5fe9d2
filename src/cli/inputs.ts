// What a command reads, checked before the device is opened.
import type { ResolvedModelConfig } from '../config/index.ts'
import { type Dataset, loadDataset, openParquet, type TextTokenizer } from '../data/index.ts'
import { checkTextLengths } from '../data/place.ts'
import { readOptions } from '../train/index.ts'

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
