import { type PointwiseOperand, pointwise, pointwiseBackward } from '../../src/kernels/pointwise.ts'
import type { PointwiseName } from '../../src/pointwise.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Single functions, and a chain of five, at the size of the feed-forward layer's activations. */
export function pointwiseRows({ T, F }: Size): Row[] {
  const shape = [T, F]
  const n = T * F
  const row = (
    name: string,
    steps: [PointwiseName, ...('x' | 'y' | 'row' | 'column' | number)[]][],
    lowest = -1,
  ): Row => ({
    name: `pointwise.${name}`,
    shape: shape.join('x'),
    flops: steps.length * n,
    // Each step reads what came before and its other whole operand, and writes as much.
    bytes: steps.reduce((bytes, [, ...operands]) => {
      const whole = operands.filter(operand => operand === 'x' || operand === 'y').length
      return bytes + 4 * n * (whole + 1)
    }, 0),
    setup(gpu) {
      const work = new Workspace(gpu)
      const operands = {
        y: { view: work.floats(n), shape },
        row: { view: work.floats(F), shape: [F] },
        column: { view: work.floats(T), shape: [T, 1] },
      }
      const results = [work.floats(n, lowest), ...steps.map(() => work.empty(n))]
      const run = () => {
        for (const [i, [name, ...given]] of steps.entries()) {
          const all: PointwiseOperand[] = given.map(one => {
            if (typeof one === 'number') return one
            return one === 'x' ? { view: results[i]!, shape } : operands[one]
          })
          pointwise(gpu, { name, operands: all, out: { view: results[i + 1]!, shape } })
        }
      }
      return work.job(run, { view: results.at(-1)!, n })
    },
  })
  const gradient: Row = {
    name: 'pointwise.mul.backward',
    shape: shape.join('x'),
    flops: n,
    bytes: 12 * n,
    setup(gpu) {
      const work = new Workspace(gpu)
      const array = () => ({ view: work.floats(n), shape })
      const [a, b, y, dy, d] = [array(), array(), array(), array(), array()]
      const run = () => pointwiseBackward(gpu, { name: 'mul', operands: [a, b], index: 0, y, dy, d })
      return work.job(run, { view: d.view, n })
    },
  }
  return [
    row('mul', [['mul', 'x', 'y']]),
    row('mul by a number', [['mul', 'x', 2]]),
    row('add of a row', [['add', 'x', 'row']]),
    row('mul by a column', [['mul', 'x', 'column']]),
    row('where', [['where', 'x', 'y', 0]]),
    row('sigmoid', [['sigmoid', 'x']]),
    row('tanh', [['tanh', 'x']]),
    row('log', [['log', 'x']], 0.01),
    row('pow', [['pow', 'x', 1.5]], 0),
    row('chain of five', [
      ['add', 'x', 'row'],
      ['mul', 'x', 0.5],
      ['sigmoid', 'x'],
      ['mul', 'x', 'y'],
      ['maximum', 'x', 0.1],
    ]),
    gradient,
  ]
}
