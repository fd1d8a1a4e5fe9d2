import { cast } from '../../src/kernels/cast.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Half copies of an arena of parameters, and back to float32. */
export function castRows({ arena }: Size): Row[] {
  return (['f16', 'f32'] as const).map(to => ({
    name: `cast.${to}`,
    shape: `${arena}`,
    flops: 0,
    bytes: 6 * arena,
    setup(gpu) {
      const work = new Workspace(gpu)
      const x = work.floats(to === 'f16' ? arena : arena / 2)
      const words = to === 'f16' ? arena / 2 : arena
      const y = work.empty(words)
      // Random bits may be NaN as halves: zeros then stand for any halves, the work is the same.
      if (to === 'f32') gpu.clear(x)
      return work.job(() => cast(gpu, { x, y, n: arena, to }), { view: y, n: words })
    },
  }))
}
