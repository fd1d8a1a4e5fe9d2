import { expectRng, shown } from '../check.ts'
import { ConfigError } from '../errors.ts'
import { type AdapterKind, defineKernel, type Gpu, type View, withConstants } from '../gpu/index.ts'
import dropoutWgsl from '../wgsl/dropout.ts'
import philox from '../wgsl/philox.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byStorage, formOf, STORAGE_WGSL, type Storage, walking } from './width.ts'

/** What, next to an element's position, picks its random number. All three are uint32. */
export interface Rng {
  /** One per model. */
  seed: number
  /** Which dropout in the model: no two share a number. */
  layer: number
  /** No two masks of a dropout share a number. */
  step: number
}

/** What a kernel that drops is told, in the order of its WGSL struct: from `dropoutParams` and an `Rng`. */
export const DROPOUT_PARAMS = {
  threshold: 'u32',
  scale: 'f32',
  seed: 'u32',
  layer: 'u32',
  step: 'u32',
} as const

const WG = 256
/** Groups of four that an invocation of a software adapter takes. */
const PER = 2
const shifting = byStorage(
  defineKernel({
    name: 'dropout',
    wgsl: philox + STORAGE_WGSL + dropoutWgsl,
    entry: 'dropout',
    params: { n: 'u32', ...DROPOUT_PARAMS },
    bindings: ['read', 'write'],
    workgroup: WG,
  }),
)
const shiftless = {
  f32: withConstants(shifting.f32, { SHIFTS: 0 }),
  f16: withConstants(shifting.f16, { SHIFTS: 0 }),
}
const forms = { shifting: walking(shifting, PER), shiftless: walking(shiftless, PER) }

/** SHIFTS of philox.wgsl: whether this adapter shifts a vector in one instruction. */
export const philoxShifts = (kind: AdapterKind): number => Number(kind !== 'embedded software')

/**
 * What a kernel needs to know of p: words below the threshold are dropped, what is kept is scaled.
 *
 * @throws ConfigError unless 0 <= p < 1
 */
export function dropoutParams(p: number): { threshold: number; scale: number } {
  if (!(typeof p === 'number' && p >= 0 && p < 1))
    throw new ConfigError(`dropout probability is ${shown(p)}; expected 0 <= p < 1`)
  return { threshold: Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1), scale: 1 / (1 - p) }
}

/**
 * y = x / (1-p) where kept, else 0; overwrites y. x, y: [n], float32 or as `storage` says. The mask depends on position and `rng` only.
 * Source: `torch.nn.functional.dropout`; random numbers: Philox 4x32-10.
 *
 * @throws ConfigError unless 0 <= p < 1
 */
export function dropout(
  gpu: Gpu,
  options: { x: View; y: View; p: number; rng: Rng; n: number; storage?: Storage },
): void {
  const { x, y, p, rng, n, storage = 'f32' } = given('dropout', gpu, options)
  expectSizes('dropout', { n })
  expectViews('dropout', { x, y }, n, storage)
  expectRng('dropout: rng', rng)
  if (n === 0) return
  formOf(storage, n)
  const { seed, layer, step } = rng
  const { kind } = gpu.forms
  const { kernels, per } = forms[philoxShifts(kind) ? 'shifting' : 'shiftless'](kind)
  gpu.launch(
    kernels[storage],
    { n, ...dropoutParams(p), seed, layer, step },
    [x, y],
    Math.ceil(n / (WG * 4 * per)),
  )
}

/** dx = dy / (1-p) where `dropout` with the same p and rng kept the element, else 0; overwrites dx. */
export function dropoutBackward(
  gpu: Gpu,
  options: { dy: View; dx: View; p: number; rng: Rng; n: number; storage?: Storage },
): void {
  const { dy, dx, ...mask } = given('dropoutBackward', gpu, options)
  expectSizes('dropoutBackward', { n: mask.n })
  expectViews('dropoutBackward', { dy, dx }, mask.n, mask.storage)
  dropout(gpu, { ...mask, x: dy, y: dx })
}
