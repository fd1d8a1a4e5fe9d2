import { crossEntropyBackward, crossEntropy as crossEntropyKernel } from '../../kernels/cross_entropy.ts'
import { expectBelow, expectTensor, expectTensors, IDS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

const meanOfRows = defineOp({
  name: 'crossEntropy',
  inputs: ['logits', 'labels'],
  dtypes: { logits: ['f32'], labels: ['u32'] },
  shape: () => [1],
  saved({ logits }) {
    const [rows, C] = rowsAndColumns(logits)
    return { losses: [rows], probs: [rows, C] }
  },
  forward({ gpu, logits, labels, losses, probs, out }) {
    const [rows, C] = rowsAndColumns(logits)
    const written = { losses: losses.view, probs: probs.view, loss: out.view }
    crossEntropyKernel(gpu, { logits: logits.view, labels: labels.view, ...written, rows, C })
  },
  backward({ gpu, labels, probs, dout, dlogits }) {
    const [rows, C] = rowsAndColumns(probs)
    const read = { probs: probs.view, labels: labels.view, dloss: dout.view }
    crossEntropyBackward(gpu, { ...read, dlogits: dlogits.view, rows, C })
  },
})

/**
 * Mean over rows of the softmax cross-entropy, what `crossEntropy` is without options: `torch.nn.functional.cross_entropy`. logits [B, C],
 * labels [B] uint32. Result [1].
 * Labels that `tensor` was given are checked here; those that the device computed are not: they lie below C.
 *
 * @throws ArgumentError for labels that are no u32 tensor; ShapeError for another number of labels; DataError naming the position of a
 *   label that is no class
 */
export function labelCrossEntropy(scores: Tensor, labels: Tensor): Tensor {
  expectTensor('crossEntropy', 'logits', scores)
  expectTensors('crossEntropy', { labels }, IDS, { name: 'logits', gpu: scores.gpu })
  const [rows, C] = rowsAndColumns(scores)
  expectShape('crossEntropy: labels', labels, [rows])
  expectBelow('crossEntropy: label', labels.known, C, `the logits have ${C} classes`)
  return meanOfRows(cast(scores, 'f32'), labels)
}
