// The loss over lists, by its name; lists of several tasks count by their task's weight.
import { add, scale, type Tensor, takeRows } from '../../autograd/index.ts'
import { listwise, pairwise, pointwise } from '../../losses/index.ts'
import type { DetextLoss } from './config.ts'

/** The lists of a batch, and what is learned from. */
export interface JudgedBatch {
  labels: Float32Array
  starts: Uint32Array
  /** Of each list, where there are several. */
  tasks?: Uint32Array | undefined
}

/** [1]; scores [N, 1]. */
export function detextLoss(
  kind: DetextLoss,
  scores: Tensor,
  { labels, starts, tasks }: JudgedBatch,
  weights: readonly number[],
): Tensor {
  if (!tasks) return LOSSES[kind].of(scores, labels, starts)
  if (kind === 'softmax')
    return listwise(scores, labels, starts, { weights: Array.from(tasks, task => weights[task]!) })
  const all = LOSSES[kind].count(labels, starts)
  let total: Tensor | undefined
  // Each task by itself is a mean over its own documents, or pairs: its share of all of them makes it a part of their mean.
  for (const [task, weight] of weights.entries()) {
    const { rows, starts: own } = rowsOf(tasks, task, starts)
    if (!rows.length) continue
    const judged = Float32Array.from(rows, row => labels[row]!)
    const loss = LOSSES[kind].of(takeRows(scores, rows), judged, own)
    const part = scale(loss, all ? (weight * LOSSES[kind].count(judged, own)) / all : 0)
    total = total ? add(total, part) : part
  }
  return total!
}

const LOSSES = {
  pointwise: { of: pointwise, count: (labels: Float32Array) => labels.length },
  pairwise: { of: pairwise, count: pairsOf },
  softmax: {
    of: (scores: Tensor, labels: Float32Array, starts: Uint32Array) => listwise(scores, labels, starts),
    count: (labels: Float32Array) => labels.length,
  },
}

/** Pairs of a list of which one has the greater label. */
function pairsOf(labels: Float32Array, starts: Uint32Array): number {
  let pairs = 0
  for (let list = 0; list + 1 < starts.length; list++) {
    const own = labels.slice(starts[list], starts[list + 1]).sort()
    for (let i = 0, below = 0; i < own.length; i++) {
      while (own[below]! < own[i]!) below++
      pairs += below
    }
  }
  return pairs
}

function rowsOf(tasks: Uint32Array, task: number, starts: Uint32Array) {
  const rows: number[] = []
  const own = [0]
  for (const [list, of] of tasks.entries()) {
    if (of !== task) continue
    for (let row = starts[list]!; row < starts[list + 1]!; row++) rows.push(row)
    own.push(rows.length)
  }
  return { rows: Uint32Array.from(rows), starts: Uint32Array.from(own) }
}
