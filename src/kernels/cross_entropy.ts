import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/cross_entropy.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { sum } from './reduce.ts'

const WG = 64
const kernel = (entry: string, bindings: Access[]) =>
  defineKernel({ name: 'cross_entropy', wgsl, entry, params: { rows: 'u32', C: 'u32' }, bindings })
const forward = kernel('forward', ['read', 'read', 'write', 'write'])
const backward = kernel('backward', ['read', 'read', 'read', 'write'])

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
  if (rows > 0) gpu.launch(forward, { rows, C }, [logits, labels, losses, probs], Math.ceil(rows / WG))
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
  if (rows > 0) gpu.launch(backward, { rows, C }, [probs, labels, dloss, dlogits], Math.ceil(rows / WG))
}
