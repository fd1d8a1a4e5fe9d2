import { expectArrays, expectIds, expectSizes, given } from './checks.ts'

/**
 * y[i] = table[ids[i]] (+ position.table[position.ids[i]]).
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html
 *
 * @param options.table [V, H]
 * @param options.ids [n], each in 0 … V-1
 * @param options.position a second table [P, H] and its ids [n], added to the first
 * @returns y [n, H]
 */
export function embedding(options: {
  table: ArrayLike<number>
  ids: ArrayLike<number>
  H: number
  position?: { table: ArrayLike<number>; ids: ArrayLike<number> } | undefined
}): Float64Array {
  const { table, ids, H, position } = given('embedding', options)
  expectSizes('embedding', { H })
  expectArrays('embedding', { table, ids })
  expectIds('embedding', 'id', ids, H ? table.length / H : 0)
  const y = new Float64Array(ids.length * H)
  for (let i = 0; i < ids.length; i++) {
    for (let h = 0; h < H; h++) {
      y[i * H + h] = table[ids[i]! * H + h]! + (position ? position.table[position.ids[i]! * H + h]! : 0)
    }
  }
  return y
}

/**
 * Segmented sum: out[u] = Σ dy[positions[k]] for k in offsets[u] … offsets[u+1]-1, the gradient of table row rows[u].
 * Rows of the table that are not in `rows` have gradient zero.
 *
 * @param options.dy [n, H]
 * @param options.rows [U] unique ids, without the padding id
 * @param options.offsets [U+1] segment starts in positions
 * @param options.positions where in the batch each id stands, grouped by id
 * @returns gradients of the rows, [U, H]
 */
export function embeddingBackward(options: {
  dy: ArrayLike<number>
  rows: ArrayLike<number>
  offsets: ArrayLike<number>
  positions: ArrayLike<number>
  H: number
}): Float64Array {
  const { dy, rows, offsets, positions, H } = given('embeddingBackward', options)
  expectSizes('embeddingBackward', { H })
  expectArrays('embeddingBackward', { dy, rows, positions })
  expectArrays('embeddingBackward', { offsets }, rows.length + 1)
  expectIds('embeddingBackward', 'position', positions, H ? dy.length / H : 0)
  const out = new Float64Array(rows.length * H)
  for (let u = 0; u < rows.length; u++) {
    for (let k = offsets[u]!; k < offsets[u + 1]!; k++) {
      for (let h = 0; h < H; h++) out[u * H + h]! += dy[positions[k]! * H + h]!
    }
  }
  return out
}
