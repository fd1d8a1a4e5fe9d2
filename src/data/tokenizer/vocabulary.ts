// What every model has: tokens with ids, and what is done where there is none.
import { DataError } from '../../errors.ts'
import { idAt, objectAt, textAt } from './json-reader.ts'

/** What turns a word into ids. */
export interface Model {
  /** @throws DataError where a word needs the unknown token and there is none. */
  tokenize: (word: string) => number[]
  /** Every token's id. */
  vocabulary: ReadonlyMap<string, number>
  /** Tokens that the vocabulary counts, which is where ids of added tokens begin. */
  size: number
}

/** A token's id in a vocabulary written as an object. */
export function vocabularyAt(value: unknown, where: string): Map<string, number> {
  const json = objectAt(value, where)
  return new Map(
    Object.entries(json).map(([token, id]) => [
      textAt(token, where),
      idAt(id, `${where}[${JSON.stringify(token)}]`),
    ]),
  )
}

/** What gives the unknown token's id, or says that there is none. */
export function unknown(
  vocabulary: ReadonlyMap<string, number>,
  token: string,
  where: string,
): (word: string) => number {
  const id = vocabulary.get(token)
  return word => {
    if (id !== undefined) return id
    const text = JSON.stringify(word.length > 40 ? `${word.slice(0, 40)}…` : word)
    throw new DataError(`${text} has no token, and ${where} '${token}' is not in the vocabulary`)
  }
}
