// What an oracle is given: an array that is too short would read as NaN, or as zeros.
import { expectNumber, NATURAL, shown } from '../check.ts'
import { ArgumentError, DataError, ShapeError } from '../errors.ts'

/** @returns the options, once they are an object */
export function given<O>(op: string, options: O): O {
  if (typeof options !== 'object' || options === null)
    throw new ArgumentError(`${op}: options is ${shown(options)}, expected an object of arrays and sizes`)
  return options
}

/** @throws ConfigError unless every size is a whole number of at least 0 */
export function expectSizes(op: string, sizes: Record<string, unknown>): void {
  for (const name in sizes) expectNumber(`${op}: ${name}`, sizes[name], NATURAL)
}

/** Arrays of `n` values each, or of any number of them. */
export function expectArrays(
  op: string,
  arrays: Record<string, ArrayLike<number> | undefined>,
  n?: number,
): void {
  for (const name in arrays) {
    const array = arrays[name]
    if (!Array.isArray(array) && !ArrayBuffer.isView(array))
      throw new ArgumentError(`${op}: ${name} is ${shown(array)}, expected an array of numbers`)
    const { length } = array as ArrayLike<number>
    if (n !== undefined && length !== n)
      throw new ShapeError(`${op}: ${name} has ${length} values, expected ${n}`)
  }
}

/** Ids, each a whole number below `limit`. */
export function expectIds(op: string, name: string, ids: ArrayLike<number>, limit: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (!(Number.isInteger(id) && id >= 0 && id < limit))
      throw new DataError(
        `${op}: ${name} ${shown(id)} at position ${i} is out of range, expected 0 to ${limit - 1}`,
      )
  }
}

/** Packed rows of T tokens. */
export function expectOffsets(op: string, cuSeqlens: ArrayLike<number>, T: number): void {
  expectArrays(op, { cuSeqlens })
  for (let b = 0; b < cuSeqlens.length; b++) {
    const [before, at] = [b ? cuSeqlens[b - 1]! : 0, cuSeqlens[b]!]
    if (!(Number.isInteger(at) && at >= before && at <= T && (b > 0 || at === 0)))
      throw new DataError(
        `${op}: cuSeqlens is ${shown(at)} at position ${b}, expected offsets from 0 to ${T} that do not decrease`,
      )
  }
}
