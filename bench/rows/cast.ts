import { CAST_BLOCK, cast, castBlocks } from '../../src/kernels/cast.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Hidden states to halves and back, and the f16 copy of an arena of parameters. */
export function castRows({ arena, T, H }: Size): Row[] {
  const n = T * H
  const row = (to: 'f16' | 'f32'): Row => ({
    name: `cast.${to}`,
    shape: `${T}x${H}`,
    flops: 0,
    bytes: 6 * n,
    setup(gpu) {
      const work = new Workspace(gpu)
      const x = work.floats(to === 'f16' ? n : n / 2)
      const words = to === 'f16' ? n / 2 : n
      const y = work.empty(words)
      // Random bits may be NaN as halves: zeros then stand for any halves, the work is the same.
      if (to === 'f32') gpu.clear(x)
      return work.job(() => cast(gpu, { x, y, n, to }), { view: y, n: words })
    },
  })
  const blocks = arena / CAST_BLOCK
  return [
    row('f16'),
    row('f32'),
    {
      name: 'cast.blocks',
      shape: `${arena}`,
      flops: 0,
      bytes: 6 * arena + 4 * blocks,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y] = [work.floats(arena), work.empty(arena / 2)]
        const places = work.put(Uint32Array.from({ length: blocks }, (_, block) => block))
        return work.job(() => castBlocks(gpu, { x, places, y, n: blocks }), { view: y, n: arena / 2 })
      },
    },
  ]
}
