// What a command reads, checked before the device is opened.
import { type Dataset, loadDataset, openParquet, type ReadOptions } from '../data/index.ts'
import { checkTextLengths } from '../data/place.ts'
import { type Model, readOptions } from '../models/index.ts'

/**
 * Reads the rows of labelled files into memory, as a model takes them, or as `reading` says.
 * @throws DataError naming file, column, row and value of the first bad one, too long a text included.
 */
export async function readRows(
  paths: readonly string[],
  model: Pick<Model, 'inputs' | 'tokenizer'>,
  { truncate }: { truncate: boolean },
  reading: ReadOptions = readOptions(model),
): Promise<Dataset> {
  // Every footer is read before the first file's data.
  const files = await Promise.all(paths.map(path => openParquet(path)))
  const data = await loadDataset(files, reading)
  if (!truncate) checkTextLengths(data, reading.inputs)
  return data
}

/** The same of files that a model is judged by: what its loss alone reads may be missing. */
export const readJudged = (
  paths: readonly string[],
  model: Pick<Model, 'inputs' | 'tokenizer'>,
  trainer: { truncate: boolean },
): Promise<Dataset> => readRows(paths, model, trainer, readOptions(model, 'judged'))
