import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/cross_entropy.ts'
import workgroupWgsl from '../wgsl/cross_entropy_workgroup.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { sum } from './reduce.ts'
import { byOneGroup, byRow, byValue } from './softmax-rows.ts'

const WG = 64
const params = { rows: 'u32', C: 'u32' } as const
const declared = (entry: string, wgsl: string, bindings: Access[]) => ({
  ...{ name: 'cross_entropy', wgsl, entry, params, bindings },
})
const FORWARD: Access[] = ['read', 'read', 'write', 'write']
const BACKWARD: Access[] = ['read', 'read', 'read', 'write']
const forward = defineKernel(declared('forward', wgsl, FORWARD))
const backward = defineKernel(declared('backward', wgsl, BACKWARD))
const forwardRows = byRow(declared('forward', workgroupWgsl, FORWARD))
const forwardFew = byOneGroup(declared('few', workgroupWgsl, [...FORWARD, 'write']))
const backwardValues = byValue(declared('backward', workgroupWgsl, BACKWARD))
/** Logits, and classes, that one workgroup takes with their mean loss, an invocation a row. */
const FEW = 4096
const FEW_CLASSES = 8

/**
 * losses[r] = log Σ exp(logits[r,·]) - logits[r, labels[r]]; loss[0] is their mean, 0 without rows; probs is the
 * softmax, which the backward pass needs. logits, probs: [rows, C] float32; labels: [rows] uint32 below C; losses: [rows]
 * float32. Source: `torch.nn.functional.cross_entropy`.
 */
export function crossEntropy(
  gpu: Gpu,
  options: { logits: View; labels: View; losses: View; probs: View; loss: View; rows: number; C: number },
): void {
  const { logits, labels, losses, probs, loss, rows, C } = given('crossEntropy', gpu, options)
  expectSizes('crossEntropy', { rows, C })
  expectViews('crossEntropy', { logits, probs }, rows * C)
  expectViews('crossEntropy', { labels, losses }, rows)
  expectViews('crossEntropy', { loss }, 1)
  const views = [logits, labels, losses, probs]
  if (rows > 0 && gpu.forms.kind === 'hardware') {
    if (rows * C <= FEW && C <= FEW_CLASSES) {
      forwardFew(gpu, { rows, C }, [...views, loss])
      return
    }
    forwardRows(gpu, { rows, C }, views)
  } else if (rows > 0) gpu.launch(forward, { rows, C }, views, Math.ceil(rows / WG))
  sum(gpu, { x: losses, out: loss, n: rows, factor: 1 / Math.max(rows, 1) })
}

/** dlogits = dloss[0] (probs - onehot(labels)) / rows; dloss is one float32 on the device. Overwrites dlogits. */
export function crossEntropyBackward(
  gpu: Gpu,
  options: { probs: View; labels: View; dloss: View; dlogits: View; rows: number; C: number },
): void {
  const { probs, labels, dloss, dlogits, rows, C } = given('crossEntropyBackward', gpu, options)
  expectSizes('crossEntropyBackward', { rows, C })
  expectViews('crossEntropyBackward', { probs, dlogits }, rows * C)
  expectViews('crossEntropyBackward', { labels }, rows)
  expectViews('crossEntropyBackward', { dloss }, 1)
  if (rows === 0) return
  const views = [probs, labels, dloss, dlogits]
  if (gpu.forms.kind === 'hardware') backwardValues(gpu, { rows, C }, views)
  else gpu.launch(backward, { rows, C }, views, Math.ceil(rows / WG))
}
