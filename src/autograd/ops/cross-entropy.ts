import { crossEntropyBackward, crossEntropy as crossEntropyKernel } from '../../kernels/cross_entropy.ts'
import { expectBelow, expectTensor, expectTensors, IDS } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

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
  const logits = cast(scores, 'f32')
  return op('crossEntropy', logits.gpu, [logits], ({ gpu, empty, saved }) => {
    const loss = empty([1])
    const losses = saved([rows])
    const probs = saved([rows, C])
    crossEntropyKernel(gpu, {
      logits: logits.view,
      labels: labels.view,
      losses: losses.view,
      probs: probs.view,
      loss: loss.view,
      rows,
      C,
    })
    return {
      output: loss,
      backward: dloss => {
        const dlogits = empty(logits.shape)
        crossEntropyBackward(gpu, {
          probs: probs.view,
          labels: labels.view,
          dloss: dloss.view,
          dlogits: dlogits.view,
          rows,
          C,
        })
        return [dlogits]
      },
    }
  })
}
