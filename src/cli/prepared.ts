// A prepared folder as training takes it: its files stand for options, and what was learned goes on into the model's folder.
import { dirname, join } from 'node:path'
import { files } from '#files'
import { isThere, readJson, writeJson } from '../data/files.ts'
import { openParquet, parquetFiles } from '../data/index.ts'
import { DataError, UsageError } from '../errors.ts'
import { PREPARATION_FILE } from '../prepare/document.ts'
import { Preparation } from '../prepare/index.ts'
import { fingerprintOf, preparedBy, TOKENIZER_FOLDER } from '../prepare/preparation.ts'
import type { TrainOptions } from './commands/train.ts'

const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
]

/**
 * The options with a prepared folder's files for those that are left out. Files that prepare made take its preparation along, by whatever
 * option they are named.
 * @throws UsageError where an option is missing; DataError where files were prepared by another preparation than is named.
 */
export async function withPrepared(
  given: Partial<TrainOptions> & Pick<TrainOptions, 'out'>,
): Promise<TrainOptions> {
  const { prepared } = given
  const options = { ...given }
  if (prepared !== undefined) {
    const at = (name: string) => join(prepared, name)
    if (!(await isThere(at(PREPARATION_FILE))))
      throw new UsageError(
        `${prepared} has no ${PREPARATION_FILE}, expected a folder that kernelgrad prepare wrote`,
      )
    options.config ??= at('model.json')
    options.train ??= [at('train.parquet')]
    if (options.eval === undefined && (await isThere(at('test.parquet')))) options.eval = [at('test.parquet')]
    options.preparation ??= prepared
  }
  for (const key of ['train', 'eval'] as const)
    if (options[key]) options[key] = await parquetFiles(options[key], `--${key}`)
  const { config, train = [] } = options
  if (config === undefined) throw new UsageError("required option '--config <file>' not specified")
  const preparation = await preparationOf({ ...options, train })
  return { ...options, config, ...(preparation === undefined ? {} : { preparation }) }
}

/** The folder of the preparation that made the files, if one did. */
async function preparationOf({
  preparation,
  train,
  eval: evaluation = [],
}: {
  preparation?: string
  train: readonly string[]
  eval?: readonly string[]
}): Promise<string | undefined> {
  const made: { path: string; by: string | undefined }[] = []
  for (const path of [...train, ...evaluation]) {
    // What cannot be opened is refused where it is read, with the other files.
    const file = await openParquet(path).catch(() => undefined)
    made.push({ path, by: file && preparedBy(file) })
  }
  const [first] = made
  const folder = preparation ?? (first?.by === undefined ? undefined : await folderOf(first.path))
  if (folder === undefined) return undefined
  const there = await isThere(join(folder, PREPARATION_FILE))
  if (!there && preparation === undefined) return undefined
  const by = fingerprintOf((await Preparation.read(folder)).document)
  const other = made.find(one => one.by !== undefined && one.by !== by)
  if (other)
    throw new DataError(
      `${other.path} was prepared by another ${PREPARATION_FILE} than that in ${folder}; prepare again, or name its folder with --preparation`,
    )
  return folder
}

/** The folder that a prepared file is of; a part of one lies in a folder of its own. */
async function folderOf(path: string): Promise<string> {
  const folder = dirname(path)
  return (await isThere(join(dirname(folder), PREPARATION_FILE))) ? dirname(folder) : folder
}

/** Copies what was learned into a model's folder. */
export async function keepPreparation(from: string, to: string): Promise<void> {
  for (const name of TOKENIZER_FILES) {
    const path = join(from, TOKENIZER_FOLDER, name)
    if (!(await isThere(path))) continue
    await files.makeFolder(join(to, TOKENIZER_FOLDER))
    await writeJson(join(to, TOKENIZER_FOLDER, name), await readJson(path))
  }
  await writeJson(join(to, PREPARATION_FILE), await readJson(join(from, PREPARATION_FILE)))
}
