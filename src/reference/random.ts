import { expectNumber, FINITE, UINT32 } from '../check.ts'
import { expectSizes, given } from './checks.ts'
import { philox4x32, uniform } from './philox.ts'

/** Fourth counter word of starting values; element dropout has 0, attention dropout 1. */
const FILL_STREAM = 2

/** Where random numbers come from: two uint32, and the element of that stream to begin with, 0 by default. */
interface FillOptions {
  n: number
  seed: number
  /** Which tensor: no two share a number. */
  stream: number
  offset?: number | undefined
}

/** The random word of element i: word i mod 4 of philox(counter [i >>> 2, 0, 0, 2], key [seed, stream]). */
const words = (i: number, { seed, stream }: FillOptions) =>
  philox4x32([i >>> 2, 0, 0, FILL_STREAM], [seed, stream])

/**
 * Numbers from U[low, high): low + (high - low) u, u the upper 24 bits of each element's word.
 *
 * Source: https://pytorch.org/docs/stable/nn.init.html, `uniform_`; the choice of counters is ours
 *
 * @returns [n]
 */
export function uniformFill(options: FillOptions & { low: number; high: number }): Float64Array {
  checkFill('uniformFill', options)
  const { n, low, high, offset = 0 } = options
  return Float64Array.from({ length: n }, (_, k) => {
    const i = offset + k
    return low + (high - low) * uniform(words(i, options)[i & 3]!)
  })
}

/**
 * Numbers from N(mean, std²). Of the words a, b of elements 2 j and 2 j + 1: mean + std √(-2 ln v) cos 2πu and
 * mean + std √(-2 ln v) sin 2πu, v the upper 24 bits of a as a number in (0, 1], u those of b in [0, 1).
 *
 * Source: Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645; `normal_` of torch.nn.init
 *
 * @returns [n]
 */
export function normalFill(options: FillOptions & { mean: number; std: number }): Float64Array {
  checkFill('normalFill', options)
  const { n, mean, std, offset = 0 } = options
  return Float64Array.from({ length: n }, (_, k) => {
    const i = offset + k
    const pair = words(i, options).subarray(i & 2)
    const radius = Math.sqrt(-2 * Math.log(uniform(pair[0]!) + 2 ** -24))
    const angle = 2 * Math.PI * uniform(pair[1]!)
    return mean + std * radius * (i & 1 ? Math.sin(angle) : Math.cos(angle))
  })
}

function checkFill(
  op: string,
  options: FillOptions & { [K in 'low' | 'high' | 'mean' | 'std']?: number },
): void {
  const { n, seed, stream, offset = 0 } = given(op, options)
  expectSizes(op, { n, offset })
  expectNumber(`${op}: seed`, seed, UINT32)
  expectNumber(`${op}: stream`, stream, UINT32)
  for (const name of op === 'uniformFill' ? (['low', 'high'] as const) : (['mean', 'std'] as const))
    expectNumber(`${op}: ${name}`, options[name], FINITE)
}
