import type { Gpu, View } from '../../src/gpu/index.ts'
import { add, addInto, fill, scale, scaleBy } from '../../src/kernels/elementwise.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** What the tape adds up and scales, at the size of the hidden states. */
export function elementwiseRows({ T, H }: Size): Row[] {
  const n = T * H
  const row = (
    name: string,
    operands: number,
    launch: (gpu: Gpu, inputs: { a: View; b: View; factor: View }, out: View) => void,
    start?: number,
  ): Row => ({
    name: `elementwise.${name}`,
    shape: `${T}x${H}`,
    flops: name === 'fill' ? 0 : n,
    bytes: 4 * n * operands,
    setup(gpu) {
      const work = new Workspace(gpu)
      const inputs = { a: work.floats(n), b: work.floats(n), factor: work.floats(1) }
      const out = start === undefined ? work.empty(n) : work.floats(n, -start, start)
      return work.job(() => launch(gpu, inputs, out), { view: out, n })
    },
  })
  return [
    row('add', 3, (gpu, { a, b }, out) => add(gpu, { a, b, out, n })),
    row('addInto', 3, (gpu, { a }, into) => addInto(gpu, { x: a, into, n }), 1),
    row('scale', 2, (gpu, { a }, y) => scale(gpu, { x: a, y, factor: 0.5, n })),
    row('scaleBy', 2, (gpu, { a, factor }, y) => scaleBy(gpu, { x: a, y, factor, n })),
    row('fill', 1, (gpu, _, out) => fill(gpu, { out, value: 0.25, n })),
  ]
}
