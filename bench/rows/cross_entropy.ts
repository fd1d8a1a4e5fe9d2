import { crossEntropy, crossEntropyBackward } from '../../src/kernels/cross_entropy.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Two classes, as clicks have, and a hundred. */
export function crossEntropyRows({ B }: Size): Row[] {
  const rowsOf = (C: number): Row[] => {
    const n = B * C
    const shape = `${B}x${C}`
    return [
      {
        name: 'cross_entropy.forward',
        shape,
        flops: 5 * n,
        bytes: 4 * (2 * n + 2 * B),
        setup(gpu) {
          const work = new Workspace(gpu)
          const [logits, labels] = [work.floats(n, -3, 3), work.uints(B, C)]
          const [losses, probs, loss] = [work.empty(B), work.empty(n), work.empty(1)]
          const job = () => crossEntropy(gpu, { logits, labels, losses, probs, loss, rows: B, C })
          return work.job(job, { view: loss, n: 1 }, { view: probs, n })
        },
      },
      {
        name: 'cross_entropy.backward',
        shape,
        flops: 3 * n,
        bytes: 4 * (2 * n + B),
        setup(gpu) {
          const work = new Workspace(gpu)
          const [probs, labels, dloss, dlogits] = [
            work.floats(n, 0, 1),
            work.uints(B, C),
            work.floats(1),
            work.empty(n),
          ]
          const job = () => crossEntropyBackward(gpu, { probs, labels, dloss, dlogits, rows: B, C })
          return work.job(job, { view: dlogits, n })
        },
      },
    ]
  }
  return [...rowsOf(2), ...rowsOf(100)]
}
