import { copyColumns } from '../../src/kernels/concat.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** The text embedding into the MLP's input, and its gradient back out; the input's width is not a multiple of four. */
export function concatRows({ B, H, mlp }: Size): Row[] {
  const wide = mlp[0]!
  const row = (name: string, sourceWidth: number, targetWidth: number): Row => ({
    name: `concat.${name}`,
    shape: `${B}x${H} of ${wide}`,
    flops: 0,
    bytes: 8 * B * H,
    setup(gpu) {
      const work = new Workspace(gpu)
      const [source, target] = [work.floats(B * sourceWidth), work.floats(B * targetWidth)]
      const columns = { sourceWidth, sourceColumn: 0, targetWidth, targetColumn: 0, width: H, rows: B }
      const job = () => copyColumns(gpu, { source, target, ...columns })
      return work.job(job, { view: target, n: B * targetWidth })
    },
  })
  return [row('forward', H, wide), row('backward', wide, H)]
}
