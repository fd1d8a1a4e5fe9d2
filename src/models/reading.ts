// What a model's declaration means for the files it reads.
import { loadTokenizer, type ReadOptions, type TextTokenizer } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import type { Inputs, TextInput } from '../inputs.ts'
import type { Model } from './model.ts'

/** How `loadDataset` and `streamChunks` read for a model. Strings need its tokenizer. */
export function readOptions(
  { inputs, tokenizer }: Pick<Model, 'inputs' | 'tokenizer'>,
  trainOnly: ReadOptions['trainOnly'] = 'required',
): ReadOptions {
  return { inputs, trainOnly, ...(tokenizer ? { tokenize: tokenizer.encode } : {}) }
}

/** Inputs that are text, by name. */
export const textInputs = (inputs: Inputs): [string, TextInput][] =>
  Object.entries(inputs).flatMap(([name, input]) =>
    input.kind === 'text' ? [[name, input] satisfies [string, TextInput]] : [],
  )

/**
 * The tokenizer that a model's strings need, from the folder it was trained from or saved in; nothing where it reads none.
 * @throws ConfigError where no folder is named or it holds none.
 */
export async function tokenizerOf(
  { inputs }: Pick<Model, 'inputs'>,
  folder: string | undefined,
): Promise<TextTokenizer | undefined> {
  const texts = textInputs(inputs).filter(([, { columns }]) => columns.some(({ dtype }) => dtype === 'text'))
  if (!texts.length) return undefined
  const column = texts[0]![1].columns.find(({ dtype }) => dtype === 'text')!
  if (folder === undefined) {
    throw new ConfigError(
      `feature '${column.name}' has dtype 'text', expected model_name to name a folder with tokenizer.json`,
    )
  }
  // Words alone, where the model puts the special tokens around them.
  const joined = texts.find(([, text]) => text.joined)?.[1].joined
  const masked = Object.values(inputs).find(input => input.kind === 'masked')
  return loadTokenizer(folder, {
    ...(joined && { joined: { ...joined, ...(masked && { mask: masked.maskTokenId }) } }),
    maxPositions: Math.min(...texts.map(([, { maxPositions }]) => maxPositions)),
    vocabSize: Math.min(...texts.map(([, { rows }]) => rows)),
  })
}
