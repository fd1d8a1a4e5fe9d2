import { crossEntropyBackward, crossEntropy as crossEntropyKernel } from '../../kernels/cross_entropy.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/**
 * Mean over rows of the softmax cross-entropy, what `crossEntropy` is without options: `torch.nn.functional.cross_entropy`. logits [B, C], labels [B] uint32,
 * checked to lie below C where they come from. Result [1].
 */
export function labelCrossEntropy(scores: Tensor, labels: Tensor): Tensor {
  const logits = cast(scores, 'f32')
  const [rows, C] = rowsAndColumns(logits)
  expectShape('crossEntropy: labels', labels, [rows])
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
