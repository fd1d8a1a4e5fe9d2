// Halves as the device stores them: two in a 32-bit word, the first one in the lower bits (the layout of WGSL's pack2x16float).
import { expectNumbers, shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { f16Bits, f16Value } from '../reference/cast.ts'

/** Half the distance of neighbouring halves, relative: what rounding a result to f16 costs. */
export const HALF_ROUNDING = 2 ** -11

/** Values rounded to halves and packed; an even number of them. */
export function packHalves(values: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  expectNumbers('packHalves: values', values)
  if (values.length % 2) throw new ShapeError(`halves are packed in pairs, got ${values.length}`)
  return Uint32Array.from(
    { length: values.length / 2 },
    (_, i) => f16Bits(values[2 * i]!) | (f16Bits(values[2 * i + 1]!) << 16),
  )
}

/** The values in packed words, two each. */
export function unpackHalves(words: Uint32Array): Float64Array<ArrayBuffer> {
  if (!(words instanceof Uint32Array))
    throw new ArgumentError(`unpackHalves: words is ${shown(words)}, expected a Uint32Array`)
  return Float64Array.from({ length: words.length * 2 }, (_, i) =>
    f16Value((words[i >> 1]! >>> (16 * (i & 1))) & 0xffff),
  )
}
