// What a command reads, checked before the device is opened.
import type { ResolvedModelConfig } from '../config/index.ts'
import { type Columns, type Dataset, loadDataset, openParquet, type TextTokenizer } from '../data/index.ts'
import { DataError } from '../errors.ts'
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
