import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { attention, attentionBackward, philox4x32 } from '../../src/reference/index.ts'
import { checkGradient, close, dot, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

/** q, k, v [T, A, D] to [T, 3, A, D]. */
function interleave(parts: ArrayLike<number>[], T: number, AD: number): Float64Array {
  const qkv = new Float64Array(T * 3 * AD)
  for (let i = 0; i < qkv.length; i++) {
    const [t, part, c] = [Math.floor(i / (3 * AD)), Math.floor(i / AD) % 3, i % AD]
    qkv[i] = parts[part]![t * AD + c]!
  }
  return qkv
}

for (const name of ['1_1x4', '5_1_9_3x8', '40_3_17_64_12x64', '130_2x16']) {
  ops.test(`attention_${name} agrees with PyTorch`, () => {
    const read = (tensor: string) => ops.read(`attention_${name}.${tensor}`)
    const [T, A, D] = ops.shape(`attention_${name}.q`) as [number, number, number]
    const qkv = interleave([read('q'), read('k'), read('v')], T, A * D)
    const given = { qkv, keyMask: read('key_mask'), cuSeqlens: read('cu_seqlens'), T, A, D }
    const { out, lse } = attention(given)
    close(out, read('y'), 2e-7, 'out')
    const dqkv = attentionBackward({ ...given, out, lse, dout: read('dy') })
    close(dqkv, interleave([read('dq'), read('dk'), read('dv')], T, A * D), 2e-7, 'dqkv')
  })
}

// Row 1 has no key, row 2 one token, row 3 is empty, row 4 has holes.
const [T, A, D] = [12, 2, 3]
const packed = {
  keyMask: [1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0],
  cuSeqlens: [0, 3, 5, 6, 6, 12],
  T,
  A,
  D,
}

test('a row without a key gives zeros, forward and backward', () => {
  const given = { ...packed, qkv: random(T * 3 * A * D) }
  const { out, lse } = attention(given)
  assert.equal([...out.subarray(3 * A * D, 5 * A * D)], new Array(2 * A * D).fill(0))
  assert.equal([...lse.subarray(3 * A, 5 * A)], new Array(2 * A).fill(0))
  const dqkv = attentionBackward({ ...given, out, lse, dout: random(T * A * D) })
  assert.equal([...dqkv.subarray(3 * 3 * A * D, 5 * 3 * A * D)], new Array(2 * 3 * A * D).fill(0))
  assert.ok(out.every(Number.isFinite) && lse.every(Number.isFinite) && dqkv.every(Number.isFinite))
})

test('a row alone gives what it gives among others', () => {
  const qkv = random(T * 3 * A * D)
  const { out } = attention({ ...packed, qkv })
  const alone = attention({
    qkv: qkv.subarray(6 * 3 * A * D),
    keyMask: packed.keyMask.slice(6),
    cuSeqlens: [0, 6],
    T: 6,
    A,
    D,
  })
  assert.equal(alone.out, out.slice(6 * A * D))
})

test('a dropped weight is dropped by its own word, and the rest is scaled', () => {
  // Values are unit vectors, so that out[t, 0, j] is the weight of key j; zero queries make every weight 1/6.
  const [rowsBefore, S, p] = [2, 6, 0.5]
  const T = rowsBefore + S
  const qkv = new Float64Array(T * 3 * S)
  for (let j = 0; j < S; j++) qkv[(rowsBefore + j) * 3 * S + 2 * S + j] = 1
  const rng = { seed: 7, layer: 0xffffffff, step: 9 }
  const keyMask = new Array(T).fill(1)
  const { out } = attention({ qkv, keyMask, cuSeqlens: [0, 2, T], T, A: 1, D: S, p, rng })
  const expected = Array.from({ length: S * S }, (_, i) => {
    const [t, j] = [rowsBefore + Math.floor(i / S), i % S]
    const word = philox4x32([t, Math.floor(j / 4), 9, 1], [7, 0xffffffff])[j % 4]!
    return word >= 2 ** 31 ? 2 / S : 0
  })
  assert.ok(expected.includes(0) && expected.includes(2 / S))
  close(out.subarray(rowsBefore * S), expected, 1e-15, 'out')
})

for (const options of [{}, { scale: 0.9 }, { p: 0.3, rng: { seed: 1, layer: 2, step: 3 } }]) {
  test(`backward against differences, ${JSON.stringify(options)}`, () => {
    const [qkv, dout] = [random(T * 3 * A * D), random(T * A * D)]
    const given = { ...packed, ...options }
    const dqkv = attentionBackward({ ...given, qkv, dout, ...attention({ ...given, qkv }) })
    checkGradient('dqkv', qkv => dot(attention({ ...given, qkv }).out, dout), qkv, dqkv)
  })
}

test('lse is the logarithm of the summed exponentials', () => {
  const qkv = [1, 2, 0, 3, 4, 0]
  const { lse } = attention({ qkv, keyMask: [1, 1], cuSeqlens: [0, 2], T: 2, A: 1, D: 1 })
  close(lse, [2 + Math.log1p(Math.exp(2)), 6 + Math.log1p(Math.exp(6))], 1e-15, 'lse')
})

test.run()
