import { expectArrays, expectOffsets, expectSizes, given } from './checks.ts'

interface Layer {
  gatesIn: ArrayLike<number>
  weight: ArrayLike<number>
  bias: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  H: number
  reverse?: boolean
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** The tokens of each row, in the order they are read. */
function rowsOf({ cuSeqlens, reverse = false }: Layer): number[][] {
  return Array.from({ length: cuSeqlens.length - 1 }, (_, b) => {
    const tokens = Array.from({ length: cuSeqlens[b + 1]! - cuSeqlens[b]! }, (_, s) => cuSeqlens[b]! + s)
    return reverse ? tokens.reverse() : tokens
  })
}

/**
 * One direction of one LSTM layer over packed rows, each from a state of zeros: v = gatesIn[t] + bias + weight h, whose four parts are the
 * gates i, f, g, o; c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c).
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
 *
 * @param options.gatesIn [T, 4 H], what the input gives, its bias in it
 * @param options.weight [4 H, H]
 * @param options.bias [4 H]
 * @param options.cuSeqlens [B + 1], row b is tokens cuSeqlens[b] … cuSeqlens[b + 1] - 1
 * @param options.reverse whether each row is read from its last token on
 * @returns h [T, H]; gates [T, 4 H] behind their functions; cell [T, H]; before [T, H], the state in front of each token
 */
export function lstm(options: {
  gatesIn: ArrayLike<number>
  weight: ArrayLike<number>
  bias: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  H: number
  reverse?: boolean
}): {
  h: Float64Array
  gates: Float64Array
  cell: Float64Array
  before: Float64Array
} {
  const { gatesIn, weight, bias, cuSeqlens, H } = given('lstm', options)
  expectSizes('lstm', { H })
  expectArrays('lstm', { gatesIn, cuSeqlens })
  expectArrays('lstm', { weight }, 4 * H * H)
  expectArrays('lstm', { bias }, 4 * H)
  const T = gatesIn.length / Math.max(4 * H, 1)
  expectOffsets('lstm', cuSeqlens, T)
  const made = () => new Float64Array(T * H)
  const [h, gates, cell, before] = [made(), new Float64Array(4 * T * H), made(), made()]
  for (const row of rowsOf(options)) {
    let state = new Float64Array(H)
    let memory = new Float64Array(H)
    for (const t of row) {
      const v = Float64Array.from({ length: 4 * H }, (_, r) => {
        let sum = gatesIn[4 * t * H + r]! + bias[r]!
        for (let k = 0; k < H; k++) sum += weight[r * H + k]! * state[k]!
        return r >= 2 * H && r < 3 * H ? Math.tanh(sum) : sigmoid(sum)
      })
      gates.set(v, 4 * t * H)
      before.set(state, t * H)
      memory = memory.map((c, j) => v[H + j]! * c + v[j]! * v[2 * H + j]!)
      state = memory.map((c, j) => v[3 * H + j]! * Math.tanh(c))
      cell.set(memory, t * H)
      h.set(state, t * H)
    }
  }
  return { h, gates, cell, before }
}

/**
 * The gradient of {@link lstm}, of what it gave.
 *
 * @param options.dh [T, H]
 * @returns dgates [T, 4 H], that of gatesIn; dweight [4 H, H]; dbias [4 H]
 */
export function lstmBackward(options: {
  gatesIn: ArrayLike<number>
  weight: ArrayLike<number>
  bias: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  H: number
  reverse?: boolean
  gates: ArrayLike<number>
  cell: ArrayLike<number>
  before: ArrayLike<number>
  dh: ArrayLike<number>
}): { dgates: Float64Array; dweight: Float64Array; dbias: Float64Array } {
  const { weight, H, gates, cell, before, dh } = given('lstmBackward', options)
  expectSizes('lstmBackward', { H })
  expectArrays('lstmBackward', { gates, cell, before })
  expectArrays('lstmBackward', { dh }, cell.length)
  const [dgates, dweight, dbias] = [
    new Float64Array(gates.length),
    new Float64Array(4 * H * H),
    new Float64Array(4 * H),
  ]
  for (const row of rowsOf(options)) {
    let back = new Float64Array(H)
    const carry = new Float64Array(H)
    for (let s = row.length - 1; s >= 0; s--) {
      const [t, last] = [row[s]!, row[s - 1]]
      const own = new Float64Array(4 * H)
      for (let j = 0; j < H; j++) {
        const [i, f, g, o] = [0, 1, 2, 3].map(part => gates[(4 * t + part) * H + j]!) as [
          number,
          number,
          number,
          number,
        ]
        const d = dh[t * H + j]! + back[j]!
        const c = Math.tanh(cell[t * H + j]!)
        const dc = carry[j]! + d * o * (1 - c * c)
        own[j] = dc * g * i * (1 - i)
        own[H + j] = last === undefined ? 0 : dc * cell[last * H + j]! * f * (1 - f)
        own[2 * H + j] = dc * i * (1 - g * g)
        own[3 * H + j] = d * c * o * (1 - o)
        carry[j] = dc * f
      }
      back = new Float64Array(H)
      for (let r = 0; r < 4 * H; r++) {
        dbias[r]! += own[r]!
        for (let k = 0; k < H; k++) {
          back[k]! += own[r]! * weight[r * H + k]!
          dweight[r * H + k]! += own[r]! * before[t * H + k]!
        }
      }
      dgates.set(own, 4 * t * H)
    }
  }
  return { dgates, dweight, dbias }
}
