/** Row groups cut anew, so that batches are the same rows however a file was written. */
import { COUNT, expectNumber } from '../check.ts'
import type { TokenLists } from './columns.ts'
import type { Chunk } from './dataset.ts'
import { joinKinds } from './join-columns.ts'

/**
 * Hands chunks on with a whole number of batches in each but the last: rows left over from one go in front of the next. A batch of
 * rows k * batchSize and on is then the same rows as over a file in one piece, so that a model's results are the same to the bit.
 * Memory: one chunk, and less than a batch.
 * @internal
 */
export async function* rebatch(chunks: AsyncIterable<Chunk>, batchSize: number): AsyncGenerator<Chunk> {
  expectNumber('rebatch: batchSize', batchSize, COUNT)
  let left: Chunk | undefined
  for await (const chunk of chunks) {
    const rows = left ? joinRows(left, chunk) : chunk
    const whole = rows.length - (rows.length % batchSize)
    if (whole > 0) yield sliceRows(rows, 0, whole)
    left = whole < rows.length ? sliceRows(rows, whole, rows.length) : undefined
  }
  if (left) yield left
}

/** Rows `start` to `end - 1`, copied, so that a few rows do not hold on to a whole row group. */
function sliceRows(chunk: Chunk, start: number, end: number): Chunk {
  if (start === 0 && end === chunk.length) return chunk
  return {
    ...chunk,
    length: end - start,
    rowStart: chunk.rowStart + start,
    lists: mapValues(chunk.lists, list => sliceLists(list, start, end)),
    ids: mapValues(chunk.ids, values => values.slice(start, end)),
    floats: mapValues(chunk.floats, values => values.slice(start, end)),
    extra: mapValues(chunk.extra, values => values.slice(start, end)),
  }
}

function sliceLists({ values, offsets }: TokenLists, start: number, end: number): TokenLists {
  const first = offsets[start]!
  return {
    values: values.slice(first, offsets[end]!),
    offsets: offsets.slice(start, end + 1).map(offset => offset - first),
  }
}

/** Rows of a file and those that follow them. */
function joinRows(a: Chunk, b: Chunk): Chunk {
  return {
    ...a,
    length: a.length + b.length,
    ...joinKinds([a, b]),
    extra: mapValues(a.extra, (values, name) => [...values, ...b.extra[name]!]),
  }
}

function mapValues<A, B>(record: Record<string, A>, make: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, make(value, name)]))
}
