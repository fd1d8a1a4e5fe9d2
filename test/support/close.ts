import * as assert from 'uvu/assert'

/**
 * Asserts that `actual` is within `bound` of `expected`: the largest error over the largest expected value, or the
 * largest error itself with `absolute`. The message shows the worst element. NaN anywhere fails.
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: number,
  { absolute = false, label = '' } = {},
): void {
  assert.is(actual.length, expected.length, `${label} length`)
  let scale = 0
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!))
  if (absolute || scale === 0) scale = 1
  let worst = -1
  let at = 0
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!) / scale
    if (!(error <= worst)) {
      worst = error
      at = i
      if (Number.isNaN(error)) break
    }
  }
  assert.ok(
    worst <= bound,
    `${label} element ${at}: got ${actual[at]}, expected ${expected[at]}, error ${worst} > ${bound}`,
  )
}
