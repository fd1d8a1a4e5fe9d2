// Losses of lists on the host, in float64: what an evaluation tells beside its measures of order.
import type { Numbers } from './check.ts'
import type { Ranked } from './ranking-lists.ts'

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** The mean over documents of the sigmoid cross-entropy of logits, labels above 0 being clicks. */
export function clickLoss(labels: Numbers, logits: Numbers): number {
  let sum = 0
  for (let i = 0; i < labels.length; i++) sum += softplus(logits[i]!) - (labels[i]! > 0 ? logits[i]! : 0)
  return sum / labels.length
}

/** The mean of log(1 + exp(-(s_i - s_j))) over pairs of a list with y_i > y_j; NaN where no list has a pair. */
export function pairLoss({ labels, scores, starts }: Ranked): number {
  let [sum, pairs] = [0, 0]
  for (let list = 0; list + 1 < starts.length; list++)
    for (let i = starts[list]!; i < starts[list + 1]!; i++)
      for (let j = starts[list]!; j < starts[list + 1]!; j++) {
        if (!(labels[i]! > labels[j]!)) continue
        sum += softplus(scores[j]! - scores[i]!)
        pairs++
      }
  return sum / pairs
}

/** The cross-entropy of each list's softmax against its labels over their sum, the mean of the lists that have a positive; NaN where none has. */
export function listLoss({ labels, scores, starts }: Ranked): number {
  let [sum, lists] = [0, 0]
  for (let list = 0; list + 1 < starts.length; list++) {
    const [start, end] = [starts[list]!, starts[list + 1]!]
    const total = labels.subarray(start, end).reduce((a, b) => a + b, 0)
    if (!total) continue
    // By rank: the first is the highest.
    const most = scores[start]!
    let parts = 0
    for (let i = start; i < end; i++) parts += Math.exp(scores[i]! - most)
    const logSum = most + Math.log(parts)
    for (let i = start; i < end; i++) sum += (labels[i]! / total) * (logSum - scores[i]!)
    lists++
  }
  return sum / lists
}
