import { attention, attentionBackward } from '../../src/kernels/attention.ts'
import { type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

const RNG = { seed: 1, layer: 0, step: 0 }

/**
 * Attention inside packed rows. A row of L tokens takes two products of 2 L L H operations forward, five backward (the
 * scores are computed again), and five operations a score for the softmax.
 */
export function attentionRows(size: Size): Row[] {
  return [
    ...rowsOf(size),
    ...(size.name === 'full' ? LONG_ROWS.flatMap(S => rowsOf(longTexts(size, S))) : []),
  ]
}

/** Tokens of each of eight texts, beside those of the model. */
const LONG_ROWS = [128, 512]

function longTexts(size: Size, S: number): Size {
  const lengths = Array(8).fill(S)
  return { ...size, B: 8, S, lengths, T: 8 * S }
}

function rowsOf(size: Size): Row[] {
  const { T, H, A, B, S, lengths } = size
  const D = H / A
  const squares = lengths.reduce((sum, n) => sum + n * n, 0)
  const { cuSeqlens } = packed(size)
  const row = (direction: 'forward' | 'backward', p: number): Row => ({
    name: `attention.${direction}${p ? '+dropout' : ''}${LONG_ROWS.includes(S) ? ` ${S}` : ''}`,
    shape: `T ${T} H ${H} A ${A}, ${B} rows to ${S}`,
    flops: squares * ((direction === 'forward' ? 4 : 10) * H + 5 * A),
    bytes: 4 * (direction === 'forward' ? 4 * T * H + T * A : 8 * T * H + T * A),
    setup(gpu) {
      const work = new Workspace(gpu)
      const [qkv, dout] = [work.floats(3 * T * H), work.floats(T * H)]
      const [out, lse, dqkv] = [work.empty(T * H), work.empty(T * A), work.empty(3 * T * H)]
      const keyMask = work.put(new Uint32Array(T).fill(1))
      const rows = { keyMask, cuSeqlens: work.put(cuSeqlens) }
      const shared = {
        qkv,
        ...rows,
        out,
        lse,
        T,
        A,
        D,
        p,
        rng: p ? RNG : undefined,
        longest: Math.max(...lengths),
      }
      const forward = () => attention(gpu, shared)
      if (direction === 'forward') return work.job(forward, { view: out, n: T * H }, { view: lse, n: T * A })
      forward()
      return work.job(() => attentionBackward(gpu, { ...shared, dout, dqkv }), { view: dqkv, n: 3 * T * H })
    },
  })
  return [row('forward', 0), row('forward', 0.1), row('backward', 0), row('backward', 0.1)]
}
