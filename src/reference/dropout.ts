import { BELOW_ONE, expectNumber, type Range } from '../check.ts'
import { expectArrays, given } from './checks.ts'
import { philox4x32, type Rng } from './philox.ts'

/** Fourth counter word: what the random number is for. Keeps element and attention dropout apart. */
const SHARE: Range = { says: 'a number from 0 to 1', takes: x => x >= 0 && x <= 1 }

const ELEMENT_STREAM = 0

/** Words below this are dropped: p as a 32-bit fraction. */
export function dropoutThreshold(p: number): number {
  expectNumber('dropoutThreshold: p', p, SHARE)
  return Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1)
}

/** What an element is multiplied by, given its random word: 0 when dropped, 1/(1-p) when kept. */
export function dropoutFactor(word: number, p: number): number {
  return word >= dropoutThreshold(p) ? 1 / (1 - p) : 0
}

/**
 * Inverted dropout: y[i] = x[i]/(1-p) where element i is kept, else 0. Element i is kept when word i mod 4 of
 * philox(counter [i >>> 2, 0, step, 0], key [seed, layer]) is at least round(p 2^32). p = 0 is the identity.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html; the choice of counters is ours
 *
 * @param options.x any shape
 * @param options.p probability of dropping, 0 <= p < 1
 * @returns y, same shape
 */
export function dropout(options: { x: ArrayLike<number>; p: number; rng: Rng }): Float64Array {
  const { x, p, rng } = given('dropout', options)
  expectArrays('dropout', { x })
  expectNumber('dropout: p', p, BELOW_ONE)
  const y = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) {
    const words = philox4x32([i >>> 2, 0, rng.step, ELEMENT_STREAM], [rng.seed, rng.layer])
    y[i] = x[i]! * dropoutFactor(words[i & 3]!, p)
  }
  return y
}

/**
 * dx[i] = dy[i]/(1-p) where {@link dropout} kept element i, else 0: the mask is drawn again, not stored.
 *
 * @param options.dy any shape
 * @param options.rng the same as in the forward pass
 * @returns dx, same shape
 */
export function dropoutBackward({
  dy,
  p,
  rng,
}: {
  dy: ArrayLike<number>
  p: number
  rng: Rng
}): Float64Array {
  return dropout({ x: dy, p, rng })
}
