import { crossAttention, crossAttentionBackward } from '../../src/kernels/cross_attention.ts'
import { type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

/** A batch's tokens to those of their own row before them. */
export function crossAttentionRows(size: Size): Row[] {
  const { B, T, H, A, lengths } = size
  const pairs = lengths.reduce((sum, n) => sum + (n * (n + 1)) / 2, 0)
  const { cuSeqlens } = packed(size)
  const row = (name: string, flops: number, tensors: number, setup: Row['setup']): Row => ({
    name: `cross_attention.${name}`,
    shape: `${T}x${H}, ${A} heads, causal`,
    flops,
    bytes: 4 * T * H * tensors,
    setup,
  })
  const sizes = { B, Tq: T, Tk: T, A, D: H / A, causal: true }
  const views = (work: Workspace) => ({
    q: work.floats(T * H),
    k: work.floats(T * H),
    v: work.floats(T * H),
    index: work.put(Uint32Array.of(...cuSeqlens, ...cuSeqlens)),
    out: work.empty(T * H),
    lse: work.empty(T * A),
  })
  return [
    row('forward', 4 * pairs * H, 4, gpu => {
      const work = new Workspace(gpu)
      const given = views(work)
      return work.job(() => crossAttention(gpu, { ...sizes, ...given }), { view: given.out, n: T * H })
    }),
    row('backward', 14 * pairs * H, 8, gpu => {
      const work = new Workspace(gpu)
      const given = views(work)
      const [dout, dq, dk, dv] = [work.floats(T * H), work.empty(T * H), work.empty(T * H), work.empty(T * H)]
      crossAttention(gpu, { ...sizes, ...given })
      const run = () => crossAttentionBackward(gpu, { ...sizes, ...given, dout, dq, dk, dv })
      return work.job(run, { view: dk, n: T * H })
    }),
  ]
}
