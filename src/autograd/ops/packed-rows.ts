import { shown } from '../../check.ts'
import { ArgumentError, DataError, ShapeError } from '../../errors.ts'
import { expectTensors, IDS } from '../checks.ts'
import type { Tensor } from '../tensor.ts'
import { expectShape } from './shapes.ts'

/** Where the packed rows of a batch lie, on the device; all uint32. */
export interface PackedRows {
  /** [T], 0 where a token is not to be attended to, nor pooled, and else 1. */
  keyMask: Tensor
  /** [B + 1], row b holds the tokens cuSeqlens[b] to cuSeqlens[b + 1] - 1. */
  cuSeqlens: Tensor
  /** [T], the row each token is in. */
  rowIds: Tensor
}

/** Rows whose values were found right, by their offsets: every layer of an encoder is given the same ones. */
const right = new WeakMap<Tensor, { keyMask: Tensor; rowIds: Tensor }>()

/**
 * Checks packed rows against the tokens x [T, …]; values, where they are known on the host.
 * @throws ArgumentError for what are no such tensors; ShapeError for lengths that do not fit; DataError naming the position of a
 *   value that does not
 */
export function expectRows(op: string, rows: PackedRows, x: Tensor): void {
  if (typeof rows !== 'object' || rows === null)
    throw new ArgumentError(`${op}: rows is ${shown(rows)}, expected { keyMask, cuSeqlens, rowIds }`)
  const { keyMask, cuSeqlens, rowIds } = rows
  expectTensors(op, { keyMask, cuSeqlens, rowIds }, IDS, { name: 'the tokens', gpu: x.gpu })
  const T = x.shape[0]!
  expectShape(`${op}: keyMask`, keyMask, [T])
  expectShape(`${op}: rowIds`, rowIds, [T])
  if (cuSeqlens.shape.length !== 1 || cuSeqlens.size < 1)
    throw new ShapeError(`${op}: cuSeqlens has shape [${cuSeqlens.shape}], expected [B + 1]`)
  const seen = right.get(cuSeqlens)
  if (seen?.keyMask === keyMask && seen.rowIds === rowIds) return
  checkPacked(op, { keyMask: keyMask.known, cuSeqlens: cuSeqlens.known, rowIds: rowIds.known }, T)
  right.set(cuSeqlens, { keyMask, rowIds })
}

const longest = new WeakMap<Tensor, number>()

/** Tokens of the longest row, where offsets are known on the host. */
export function longestRow(cuSeqlens: Tensor): number | undefined {
  const { known } = cuSeqlens
  let found = longest.get(cuSeqlens)
  if (!known || found !== undefined) return found
  found = 0
  for (let b = 1; b < known.length; b++) found = Math.max(found, known[b]! - known[b - 1]!)
  longest.set(cuSeqlens, found)
  return found
}

/** `expectRows` of arrays; those that are not there are not checked. */
export function checkPacked(
  op: string,
  rows: {
    keyMask?: Uint32Array | undefined
    cuSeqlens?: Uint32Array | undefined
    rowIds?: Uint32Array | undefined
  },
  T: number,
): void {
  const { keyMask, cuSeqlens, rowIds } = rows
  const wrong = keyMask?.findIndex(flag => flag > 1) ?? -1
  if (wrong >= 0)
    throw new DataError(`${op}: keyMask is ${keyMask![wrong]} at token ${wrong}, expected 0 or 1`)
  if (!cuSeqlens) return
  const B = cuSeqlens.length - 1
  if (cuSeqlens[0] !== 0) throw new DataError(`${op}: cuSeqlens starts at ${cuSeqlens[0]}, expected 0`)
  for (let b = 0; b < B; b++) {
    const [start, end] = [cuSeqlens[b]!, cuSeqlens[b + 1]!]
    if (end < start)
      throw new DataError(
        `${op}: cuSeqlens decreases from ${start} to ${end} at position ${b + 1}, expected none to be smaller than the one before`,
      )
    if (end > T)
      throw new DataError(`${op}: cuSeqlens is ${end} at position ${b + 1}, past the end of ${T} tokens`)
  }
  if (cuSeqlens[B] !== T)
    throw new DataError(`${op}: cuSeqlens ends at ${cuSeqlens[B]}, expected ${T}, the number of tokens`)
  if (!rowIds) return
  for (let b = 0, t = 0; b < B; b++) {
    for (; t < cuSeqlens[b + 1]!; t++) {
      if (rowIds[t] !== b)
        throw new DataError(`${op}: rowIds is ${rowIds[t]} at token ${t}, expected ${b}, as cuSeqlens has it`)
    }
  }
}
