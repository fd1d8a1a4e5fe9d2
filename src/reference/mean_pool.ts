import { expectArrays, expectOffsets, expectSizes, given } from './checks.ts'

/**
 * y[b] = mean of x[t] over the tokens t of packed row b with keyMask[t] != 0; 0 when there is none, where PyTorch's
 * mask-weighted mean would divide 0 by 0.
 *
 * @param options.x [T, H]
 * @param options.keyMask [T], 0 = left out
 * @param options.cuSeqlens [B+1], row b is tokens cuSeqlens[b] … cuSeqlens[b+1]-1
 * @returns y [B, H]
 */
export function meanPool(options: {
  x: ArrayLike<number>
  keyMask: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  B: number
  H: number
}): Float64Array {
  const { x, keyMask, cuSeqlens, B, H } = given('meanPool', options)
  expectSizes('meanPool', { B, H })
  expectArrays('meanPool', { x, keyMask })
  expectArrays('meanPool', { cuSeqlens }, B + 1)
  expectOffsets('meanPool', cuSeqlens, keyMask.length)
  expectArrays('meanPool', { x }, keyMask.length * H)
  const y = new Float64Array(B * H)
  for (let b = 0; b < B; b++) {
    const kept = countKept(keyMask, cuSeqlens[b]!, cuSeqlens[b + 1]!)
    for (let t = cuSeqlens[b]!; t < cuSeqlens[b + 1]!; t++) {
      if (keyMask[t] === 0) continue
      for (let h = 0; h < H; h++) y[b * H + h]! += x[t * H + h]! / kept
    }
  }
  return y
}

/**
 * dx[t] = dy[b] / (number of kept tokens in row b) for a kept token t of row b, else 0.
 *
 * @param options.dy [B, H]
 * @param options.T number of packed tokens
 * @returns dx [T, H]
 */
export function meanPoolBackward(options: {
  dy: ArrayLike<number>
  keyMask: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  B: number
  H: number
  T: number
}): Float64Array {
  const { dy, keyMask, cuSeqlens, B, H, T } = given('meanPoolBackward', options)
  expectSizes('meanPoolBackward', { B, H, T })
  expectArrays('meanPoolBackward', { dy }, B * H)
  expectArrays('meanPoolBackward', { keyMask }, T)
  expectArrays('meanPoolBackward', { cuSeqlens }, B + 1)
  expectOffsets('meanPoolBackward', cuSeqlens, T)
  const dx = new Float64Array(T * H)
  for (let b = 0; b < B; b++) {
    const kept = countKept(keyMask, cuSeqlens[b]!, cuSeqlens[b + 1]!)
    for (let t = cuSeqlens[b]!; t < cuSeqlens[b + 1]!; t++) {
      if (keyMask[t] === 0) continue
      for (let h = 0; h < H; h++) dx[t * H + h] = dy[b * H + h]! / kept
    }
  }
  return dx
}

function countKept(keyMask: ArrayLike<number>, start: number, end: number): number {
  let kept = 0
  for (let t = start; t < end; t++) if (keyMask[t] !== 0) kept++
  return kept
}

/**
 * y[b] = x[cuSeqlens[b]], the first token of packed row b; 0 for a row without tokens.
 *
 * @param options.x [T, H]
 * @param options.cuSeqlens [B+1], row b is tokens cuSeqlens[b] … cuSeqlens[b+1]-1
 * @returns y [B, H]
 */
export function firstToken(options: {
  x: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  B: number
  H: number
}): Float64Array {
  const { x, cuSeqlens, B, H } = given('firstToken', options)
  expectSizes('firstToken', { B, H })
  expectArrays('firstToken', { x })
  expectArrays('firstToken', { cuSeqlens }, B + 1)
  expectOffsets('firstToken', cuSeqlens, H ? x.length / H : 0)
  const y = new Float64Array(B * H)
  for (let b = 0; b < B; b++) {
    if (cuSeqlens[b] === cuSeqlens[b + 1]) continue
    for (let h = 0; h < H; h++) y[b * H + h] = x[cuSeqlens[b]! * H + h]!
  }
  return y
}

/**
 * dx[t] = dy[b] for the first token t of row b, else 0.
 *
 * @param options.dy [B, H]
 * @param options.T number of packed tokens
 * @returns dx [T, H]
 */
export function firstTokenBackward(options: {
  dy: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  B: number
  H: number
  T: number
}): Float64Array {
  const { dy, cuSeqlens, B, H, T } = given('firstTokenBackward', options)
  expectSizes('firstTokenBackward', { B, H, T })
  expectArrays('firstTokenBackward', { dy }, B * H)
  expectArrays('firstTokenBackward', { cuSeqlens }, B + 1)
  expectOffsets('firstTokenBackward', cuSeqlens, T)
  const dx = new Float64Array(T * H)
  for (let b = 0; b < B; b++) {
    if (cuSeqlens[b] === cuSeqlens[b + 1]) continue
    for (let h = 0; h < H; h++) dx[cuSeqlens[b]! * H + h] = dy[b * H + h]!
  }
  return dx
}
