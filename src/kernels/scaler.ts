import { expectNumber, POSITIVE } from '../check.ts'
import { defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import multiplyAdd from '../wgsl/multiply_add.ts'
import wgsl from '../wgsl/scaler.ts'
import { expectSizes, expectViews, given, NORM } from './checks.ts'
import type { UpdateRule } from './optimizer.ts'

/** Bytes of a scaler's state: scale (float32), steps since the scale last changed, steps taken, steps skipped (uint32). */
export const SCALER_BYTES = 16

const params = {
  step: 'u32',
  groups: 'u32',
  limit: 'f32',
  growth_factor: 'f32',
  backoff_factor: 'f32',
  interval: 'u32',
} as const

const kernels = new Map<string, Kernel<keyof typeof params>>()

function kernelOf(rule: string): Kernel<keyof typeof params> {
  let kernel = kernels.get(rule)
  if (!kernel) {
    kernel = defineKernel({
      name: 'scaler',
      wgsl: multiplyAdd + rule + wgsl,
      entry: 'rescale',
      params,
      bindings: ['write', 'write', 'write', 'write'],
      workgroup: 1,
    })
    kernels.set(rule, kernel)
  }
  return kernel
}

/** How the scale changes. */
export interface ScalerSettings {
  /** What the scale is multiplied by after `growthInterval` steps without overflow. */
  growthFactor: number
  /** What it is multiplied by when gradients overflow. */
  backoffFactor: number
  /** Steps without overflow before the scale grows. */
  growthInterval: number
}

/**
 * Ends the backward pass of one optimizer step with a scaled loss. norm: [1], the norm of the scaled gradients, is divided
 * by the scale. coefficient: [1], overwritten with what gradients are multiplied by, clipping to maxNorm (0: none) and
 * unscaling at once; -1 makes the step void. history: entry `step` of each group, pending until now, becomes what the rule's
 * `update` reads: only the device knows how many steps were taken, and so the bias correction. state: SCALER_BYTES. Source: `torch.amp.GradScaler`, `torch._amp_update_scale_`.
 */
export function scalerUpdate(
  gpu: Gpu,
  rule: UpdateRule,
  options: ScalerSettings & {
    norm: View
    coefficient: View
    state: View
    history: View
    step: number
    groups: number
    maxNorm: number
  },
): void {
  const {
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
  } = given('scalerUpdate', gpu, options)
  expectSizes('scalerUpdate', { step, groups, growthInterval })
  expectNumber('scalerUpdate: maxNorm', maxNorm, NORM)
  expectNumber('scalerUpdate: growthFactor', growthFactor, POSITIVE)
  expectNumber('scalerUpdate: backoffFactor', backoffFactor, POSITIVE)
  expectViews('scalerUpdate', { norm, coefficient }, 1)
  expectViews('scalerUpdate', { state }, SCALER_BYTES / 4)
  const limit = maxNorm > 0 && maxNorm < Number.POSITIVE_INFINITY ? maxNorm : 0
  const factors = { growth_factor: growthFactor, backoff_factor: backoffFactor, interval: growthInterval }
  const views = [norm, coefficient, state, history]
  gpu.launch(kernelOf(rule.wgsl), { step, groups, limit, ...factors }, views, 1)
}
