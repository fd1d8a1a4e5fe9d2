// What is asked, as the columns that a file would have it in.
import { shown } from '../check.ts'
import { type Columns, collate } from '../data/index.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import { type PackedTokens, textLists } from '../inputs.ts'
import type { TwoSidedModel } from './fingerprint.ts'

/**
 * A query: text, where the side reads text columns alone; token ids, where it reads one column of them; or either by column. Empty ones are
 * allowed.
 */
export type Query = string | ArrayLike<number> | Record<string, string | ArrayLike<number>>

/** The query's tokens, packed, and a text that no other query has. */
export function packQuery(
  where: string,
  model: TwoSidedModel,
  query: Query,
  truncate: boolean,
): { text: PackedTokens; key: string } {
  const input = model.sides.query
  const lists: Columns['lists'] = {}
  for (const [name, tokens] of Object.entries(tokensOf(where, model, query)))
    lists[name] = { values: Uint32Array.from(tokens), offsets: Uint32Array.of(0, tokens.length) }
  const columns: Columns = { length: 1, rowStart: 0, lists, ids: {}, floats: {} }
  const { query: text } = collate(columns, [0], { query: input }, { truncate })
  const key = Object.values(lists)
    .map(({ values }) => values.join(' '))
    .join('|')
  return { text, key }
}

function tokensOf(where: string, model: TwoSidedModel, query: Query): Record<string, ArrayLike<number>> {
  const { columns, rows } = model.sides.query
  const names = columns.map(({ name }) => name)
  const strings = columns.filter(({ dtype }) => dtype === 'text')
  const wanted =
    strings.length === columns.length
      ? `text, or text by column (${names.join(', ')})`
      : columns.length === 1
        ? `token ids, or { ${names[0]}: token ids }`
        : `what each column holds: ${columns.map(({ name, dtype }) => `${name}: ${dtype === 'text' ? 'text' : 'token ids'}`).join(', ')}`
  const refuse = (what = `query is ${shown(query)}`): never => {
    throw new ArgumentError(`${where}: ${what}, expected ${wanted}`)
  }
  const isIds = (value: unknown): value is ArrayLike<number> =>
    Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
  let byColumn: Record<string, unknown>
  if (typeof query === 'string' && strings.length === columns.length)
    return { [names.join(' ')]: encode(where, model, query) }
  else if (isIds(query) && columns.length === 1 && !strings.length) byColumn = { [names[0]!]: query }
  else if (typeof query === 'object' && query !== null && !isIds(query) && !(query instanceof Promise))
    byColumn = query as Record<string, unknown>
  else return refuse()
  const other = Object.keys(byColumn).find(name => !names.includes(name))
  if (other !== undefined) refuse(`query has a column ${other}`)
  return Object.fromEntries(
    textLists(model.sides.query).map(({ key, columns }) => {
      const values = columns.map(({ name, dtype, rows: own }) => {
        const value = byColumn[name]
        if (dtype === 'text') {
          if (typeof value !== 'string') return refuse(`query.${name} is ${shown(value)}`)
          return value
        }
        if (!isIds(value)) return refuse(`query.${name} is ${shown(value)}`)
        const limit = Math.min(own ?? rows, rows)
        for (let i = 0; i < value.length; i++)
          if (!(Number.isInteger(value[i]) && value[i]! >= 0 && value[i]! < limit))
            throw new DataError(
              `${where}: query.${name}, token ${i}: id ${shown(value[i])}, expected 0 to ${limit - 1}`,
            )
        return value
      })
      if (columns[0]!.dtype !== 'text') return [key, values[0] as ArrayLike<number>]
      return [key, encode(where, model, values.join(' '))]
    }),
  )
}

function encode(where: string, { tokenizer }: TwoSidedModel, text: string): number[] {
  if (tokenizer) return tokenizer.encode(text)
  throw new ConfigError(`${where}: the model reads text and has no tokenizer; loadModel() gives it one`)
}
