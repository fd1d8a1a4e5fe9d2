import { segmentDiscounts, segmentPairs, segmentPairsBackward } from '../../src/kernels/segment_pairs.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Documents of a list, as of a page of results. */
const LONGEST = 10

/** Lists of documents, half of which belong above the others. */
export function segmentPairsRows({ B }: Size): Row[] {
  const N = B * LONGEST
  const starts = Uint32Array.from({ length: B + 1 }, (_, b) => b * LONGEST)
  const labels = Float32Array.from({ length: N }, (_, i) => i % 2)
  const views = (work: Workspace) => ({
    ...{ starts: work.put(starts), x: work.floats(N), labels: work.put(labels), values: work.floats(N) },
    ...{ B, N, longest: LONGEST },
  })
  const shape = `${B} x ${LONGEST}`
  const pairs = (N * LONGEST) / 4
  return [
    {
      name: 'segment_pairs.discounts',
      shape,
      flops: N * LONGEST,
      bytes: 8 * N,
      setup(gpu) {
        const work = new Workspace(gpu)
        const { labels: _, values: __, ...given } = views(work)
        const y = work.empty(N)
        return work.job(() => segmentDiscounts(gpu, { ...given, k: LONGEST, y }), { view: y, n: N })
      },
    },
    {
      name: 'segment_pairs.swaps',
      shape,
      flops: 20 * pairs,
      bytes: 16 * N,
      setup(gpu) {
        const work = new Workspace(gpu)
        const given = { kind: 'swaps' as const, ...views(work), y: work.empty(N) }
        return work.job(() => segmentPairs(gpu, given), { view: given.y, n: N })
      },
    },
    {
      name: 'segment_pairs.swaps.backward',
      shape,
      flops: 16 * pairs,
      bytes: 20 * N,
      setup(gpu) {
        const work = new Workspace(gpu)
        const given = {
          kind: 'swaps' as const,
          ...views(work),
          dy: work.floats(N),
          dx: work.empty(N),
        }
        return work.job(() => segmentPairsBackward(gpu, given), { view: given.dx, n: N })
      },
    },
  ]
}
