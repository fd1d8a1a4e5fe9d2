import { expectArrays, expectSizes, given } from './checks.ts'

/**
 * scores[n] = the sum over e of query[e] vectors[n, e], times scale[n] where there is one. Bytes u stand for u 2/255 - 1.
 *
 * @param options.query [E]
 * @param options.vectors [N, E], numbers, or bytes where `bytes` is true
 * @param options.scale [N]
 * @returns scores [N]
 */
export function vectorScores(options: {
  query: ArrayLike<number>
  vectors: ArrayLike<number>
  scale?: ArrayLike<number> | undefined
  N: number
  E: number
  bytes?: boolean
}): Float64Array {
  const { query, vectors, scale, N, E, bytes = false } = given('vectorScores', options)
  expectSizes('vectorScores', { N, E })
  expectArrays('vectorScores', { query }, E)
  expectArrays('vectorScores', { vectors }, N * E)
  if (scale) expectArrays('vectorScores', { scale }, N)
  return Float64Array.from({ length: N }, (_, n) => {
    let sum = 0
    for (let e = 0; e < E; e++) {
      const v = vectors[n * E + e]!
      sum += query[e]! * (bytes ? (v * 2) / 255 - 1 : v)
    }
    return scale ? sum * scale[n]! : sum
  })
}
