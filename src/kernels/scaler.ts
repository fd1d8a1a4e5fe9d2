import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/scaler.ts'
import type { AdamWStep } from './adamw.ts'

/** Bytes of a scaler's state: scale (float32), steps since the scale last changed, steps taken, steps skipped (uint32). */
export const SCALER_BYTES = 16

const update = defineKernel({
  name: 'scaler',
  wgsl,
  entry: 'update',
  params: {
    step: 'u32',
    groups: 'u32',
    limit: 'f32',
    growth_factor: 'f32',
    backoff_factor: 'f32',
    interval: 'u32',
  },
  bindings: ['write', 'write', 'write', 'write'],
  workgroup: 1,
})

/**
 * What stands in `history` in place of `adamwHistory` until `scalerUpdate` has seen the gradients: only the device knows
 * how many steps were taken, and so the bias correction.
 */
export function scalerPending({ lr, beta1, beta2, eps, weightDecay }: AdamWStep): number[] {
  const log = (beta: number) => Math.max(Math.log(beta), -1e4)
  return [1 - lr * weightDecay, lr, log(beta2), eps, log(beta1), 1 - beta1, beta2, 1 - beta2]
}

/** How the scale changes. */
export interface ScalerSettings {
  /** What the scale is multiplied by after `growthInterval` steps without overflow. */
  growthFactor: number
  /** What it is multiplied by when gradients overflow. */
  backoffFactor: number
  growthInterval: number
}

/**
 * Ends the backward pass of one optimizer step with a scaled loss. norm: [1], the norm of the scaled gradients, is divided
 * by the scale. coefficient: [1], overwritten with what gradients are multiplied by, clipping to maxNorm (0: none) and
 * unscaling at once; -1 makes the step void. history: entry `step` of each group, from `scalerPending`, becomes what
 * `adamw` reads. state: SCALER_BYTES. Source: `torch.amp.GradScaler`, `torch._amp_update_scale_`.
 */
export function scalerUpdate(
  gpu: Gpu,
  {
    norm,
    coefficient,
    state,
    history,
    step,
    groups,
    maxNorm,
    growthFactor,
    backoffFactor,
    growthInterval,
  }: ScalerSettings & {
    norm: View
    coefficient: View
    state: View
    history: View
    step: number
    groups: number
    maxNorm: number
  },
): void {
  const limit = maxNorm > 0 && maxNorm < Number.POSITIVE_INFINITY ? maxNorm : 0
  const factors = { growth_factor: growthFactor, backoff_factor: backoffFactor, interval: growthInterval }
  gpu.launch(update, { step, groups, limit, ...factors }, [norm, coefficient, state, history], 1)
}
