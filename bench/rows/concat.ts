import { copyColumns, joinColumns, splitColumns } from '../../src/kernels/concat.ts'
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
  const rest = wide - H
  const features = Math.min(14, rest) // beside the text; fourteen take two launches
  const narrow = Math.floor(rest / features)
  const together = (name: 'join' | 'split'): Row => ({
    name: `concat.${name}`,
    shape: `${features} parts, ${B}x${rest} of ${wide}`,
    flops: 0,
    bytes: 8 * B * rest,
    setup(gpu) {
      const work = new Workspace(gpu)
      const whole = work.floats(B * wide)
      const parts = Array.from({ length: features }, (_, i) => {
        const width = i < features - 1 ? narrow : rest - i * narrow
        return { view: work.floats(B * width), width, column: H + i * narrow }
      })
      if (name === 'join') {
        const job = () => joinColumns(gpu, { parts, target: whole, targetWidth: wide, rows: B })
        return work.job(job, { view: whole, n: B * wide })
      }
      const job = () => splitColumns(gpu, { parts, source: whole, sourceWidth: wide, rows: B })
      return work.job(job, ...parts.map(({ view, width }) => ({ view, n: B * width })))
    },
  })
  return [row('forward', H, wide), row('backward', wide, H), together('join'), together('split')]
}
