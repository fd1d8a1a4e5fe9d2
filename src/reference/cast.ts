import { expectArrays } from './checks.ts'

const buffer = new DataView(new ArrayBuffer(8))

/**
 * The bits of the binary16 nearest to x, ties to even: subnormal below 2^-14, infinity from 65520.
 * Source: IEEE 754-2019, 3.4 and 4.3.1
 */
export function f16Bits(x: number): number {
  buffer.setFloat64(0, x)
  const sign = (buffer.getUint32(0) >>> 16) & 0x8000
  const size = Math.abs(x)
  if (Number.isNaN(x)) return 0x7e00
  if (size >= 65520) return sign | 0x7c00
  // The distance of neighbouring numbers of this size: 2^-10 of the power of two below, and at least 2^-24.
  const exponent = Math.max(size < 2 ** -14 ? -14 : Math.floor(Math.log2(size)), -14)
  const unit = 2 ** (exponent - 10)
  const steps = roundEven(size / unit)
  return sign | (size < 2 ** -14 ? steps : ((exponent + 15) << 10) + steps - 1024)
}

/** The value of a binary16 given by its bits. */
export function f16Value(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24)
}

/** x: any shape. Each value rounded to the nearest binary16: what storing it as f16 and loading it again gives. */
export function roundF16(x: ArrayLike<number>): Float64Array {
  expectArrays('roundF16', { x })
  return Float64Array.from(x, value => f16Value(f16Bits(value)))
}

function roundEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}
