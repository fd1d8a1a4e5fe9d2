import { type SegmentKind, segment, segmentBackward } from '../../src/kernels/segment.ts'
import { type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

/** The tokens of each text taken together. */
export function segmentRows(size: Size): Row[] {
  const { B, T, H } = size
  const [n, starts] = [T * H, packed(size).cuSeqlens]
  const forward = (kind: SegmentKind): Row => ({
    name: `segment.${kind}`,
    shape: `${T}x${H} in ${B}`,
    flops: (kind === 'sum' ? 1 : 4) * n,
    bytes: 4 * n + 4 * (kind === 'softmax' ? n : B * H),
    setup(gpu) {
      const work = new Workspace(gpu)
      const out = kind === 'softmax' ? n : B * H
      const views = { x: work.floats(n), y: work.empty(out), starts: work.put(starts) }
      return work.job(() => segment(gpu, { kind, ...views, B, I: H }), { view: views.y, n: out })
    },
  })
  return [
    forward('sum'),
    forward('logSumExp'),
    forward('softmax'),
    {
      name: 'segment.softmax.backward',
      shape: `${T}x${H} in ${B}`,
      flops: 4 * n,
      bytes: 12 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y, dy, dx] = [work.floats(n), work.floats(n, 0, 1), work.floats(n), work.empty(n)]
        const run = { kind: 'softmax' as const, starts: work.put(starts), x, y, dy, dx, B, I: H }
        return work.job(() => segmentBackward(gpu, run), { view: dx, n })
      },
    },
  ]
}
