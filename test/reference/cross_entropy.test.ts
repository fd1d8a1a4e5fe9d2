import { test } from 'uvu'
import { crossEntropy, crossEntropyBackward } from '../../src/reference/index.ts'
import { checkGradient, close, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

for (const name of ['1x2_1', '13x2_1', '9x5_80']) {
  ops.test(`cross_entropy_${name} agrees with PyTorch`, () => {
    const read = (tensor: string) => ops.read(`cross_entropy_${name}.${tensor}`)
    const [rows, C] = ops.shape(`cross_entropy_${name}.logits`) as [number, number]
    const labels = read('labels')
    const { loss, probs } = crossEntropy({ logits: read('logits'), labels, rows, C })
    close([loss], read('loss'), 2e-7, 'loss')
    close(crossEntropyBackward({ probs, labels, rows, C }), read('dlogits'), 2e-7, 'dlogits')
  })
}

test('losses average to the loss, also for logits of 1e4', () => {
  const { loss, losses } = crossEntropy({ logits: [1e4, 0, 0, 0], labels: [1, 0], rows: 2, C: 2 })
  close(losses, [1e4, Math.log(2)], 1e-15, 'losses')
  close([loss], [(1e4 + Math.log(2)) / 2], 1e-15, 'loss')
})

test('backward against differences', () => {
  const [rows, C, dloss] = [5, 3, 0.5]
  const labels = [0, 1, 2, 2, 0]
  const logits = random(rows * C)
  const { probs } = crossEntropy({ logits, labels, rows, C })
  const dlogits = crossEntropyBackward({ probs, labels, rows, C, dloss })
  const loss = (logits: Float64Array) => dloss * crossEntropy({ logits, labels, rows, C }).loss
  checkGradient('dlogits', loss, logits, dlogits)
})

test.run()
