// Rows that make a model compile what requests will need: the forms of its kernels go by the size of a batch.
import type { Columns } from '../data/index.ts'
import { type TextInput, textLists } from '../inputs.ts'
import type { Model } from '../models/index.ts'

/** Tokens of a batch at most: what it costs grows with them, what it compiles does not. */
const TOKENS = 4096

/** Batches of 1, 2, 4, … rows up to `most`, with short, middling and the longest texts, as far as they stay small. */
export function warmUpBatches({ inputs }: Pick<Model, 'inputs'>, most: number): Columns[] {
  const texts = Object.values(inputs).filter(
    (input): input is TextInput => input.kind === 'text' && !input.trainOnly,
  )
  const longest = texts.length ? Math.min(...texts.map(({ maxPositions }) => maxPositions)) : 0
  const lengths = [...new Set([4, 16, 64, longest].map(length => Math.min(length, longest)))]
  const sizes = [1]
  while (sizes.at(-1)! < most) sizes.push(Math.min(2 * sizes.at(-1)!, most))
  return sizes.flatMap(rows =>
    lengths
      .filter((length, i) => i === 0 || rows * length <= TOKENS)
      .map(length => columnsOf(inputs, rows, length)),
  )
}

function columnsOf(inputs: Model['inputs'], rows: number, length: number): Columns {
  const columns: Columns = { length: rows, rowStart: 0, lists: {}, ids: {}, floats: {} }
  for (const input of Object.values(inputs)) {
    if (input.trainOnly) continue
    if (input.kind === 'text') {
      const lists = textLists(input)
      // Masked tokens would be left out.
      const token = input.padTokenId === 0 ? Math.min(1, input.rows - 1) : 0
      for (const [i, { key }] of lists.entries()) {
        const own = Math.floor(length / lists.length) + Number(i < length % lists.length)
        columns.lists[key] = {
          values: new Uint32Array(rows * own).fill(token),
          offsets: Uint32Array.from({ length: rows + 1 }, (_, row) => row * own),
        }
      }
    } else if (input.kind === 'ids')
      for (const name of Object.keys(input.columns)) columns.ids[name] = new Uint32Array(rows)
    else if (input.kind === 'floats')
      for (const name of input.columns) columns.floats[name] = new Float32Array(rows)
  }
  return columns
}
