// The tokenizer of a table's texts: given, or trained on them.

import { copyFile, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { reason, writeJson } from '../data/files.ts'
import { loadTokenizer } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import type { Work } from './columns.ts'
import type { PreparationDocument } from './document.ts'
import { hashOf, TOKENIZER_FOLDER } from './preparation.ts'
import { sizesOf, trainWords } from './words.ts'

const FILE = 'tokenizer.json'
const ANY = { maxPositions: 2 ** 20, vocabSize: 2 ** 31 }

/** Makes the tokenizer's folder below `folder`, and enters it in the document. */
export async function makeTokenizer(
  work: Work,
  texts: readonly string[],
  document: PreparationDocument,
  folder: string,
  onProgress: (share: number) => void,
): Promise<{ tokenize: (maxTokens: number) => (text: string) => number[]; files: string[] }> {
  const { options } = work
  const to = join(folder, TOKENIZER_FOLDER)
  await mkdir(to)
  const given = options.tokenizer
  const trained =
    given === 'word' || given === 'wordpiece' ? await trainWords(work, texts, given, onProgress) : undefined
  if (trained) await writeJson(join(to, FILE), trained)
  else await takeGiven(given, to)
  const { files } = await loadTokenizer(to, ANY).catch(error => {
    // What is given is named, not the copy.
    if (error instanceof ConfigError) error.message = error.message.replaceAll(join(to, FILE), given)
    throw error
  })
  for (const [name, json] of Object.entries(files)) await writeJson(join(to, name), json)
  const vocabulary = sizesOf(files[FILE], join(given, FILE))
  document.vocab_size = vocabulary.size
  document.pad_token_id = vocabulary.pad
  document.tokenizer = hashOf(JSON.stringify((await loadTokenizer(to, ANY)).files))
  const encoders = new Map<number, (text: string) => number[]>()
  for (const column of Object.values(document.columns)) {
    if (column.role !== 'text') continue
    const limits = { maxPositions: column.max_tokens, vocabSize: vocabulary.size }
    const { encode } = await loadTokenizer(to, limits).catch(error => {
      if (error instanceof ConfigError)
        error.message = `max tokens ${column.max_tokens}: ${error.message.replaceAll(join(to, FILE), given)}`
      throw error
    })
    encoders.set(column.max_tokens, encode)
  }
  return { tokenize: maxTokens => encoders.get(maxTokens)!, files: Object.keys(files) }
}

/** A given tokenizer.json, or a folder's, with what stands beside it. */
async function takeGiven(given: string, to: string): Promise<void> {
  const info = await stat(given).catch(error => {
    throw new ConfigError(`cannot read the tokenizer ${given}: ${reason(error)}`, { cause: error })
  })
  if (!info.isDirectory()) return copyFile(given, join(to, FILE))
  const { files } = await loadTokenizer(given, ANY)
  for (const [name, json] of Object.entries(files)) await writeJson(join(to, name), json)
}
