// The form of attention for long rows on software adapters with subgroups: scores lie in memory between two products, for as many rows and
// heads at a time as a bound on that memory allows.
import { type Access, defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import longWgsl from '../wgsl/attention_long.ts'
import philox from '../wgsl/philox.ts'
import {
  type AttentionBackwardOptions,
  type AttentionOptions,
  attentionWork,
  headValues,
} from './attention-packed.ts'
import { goesByBatch } from './batch-forms.ts'
import { STORAGE_WGSL } from './width.ts'

/** Lanes of a subgroup, and rows of a tile. */
const SG = 8
const R = 32
/** Least longest row, and least multiply-adds of a product over them, that pay: the kernels take seconds to compile. */
const LEAST = 48
const LEAST_WORK = 1e6
/** Bytes for scores at a time: what fits a processor's caches, and is many tiles. */
const ROOM = 2 ** 24
/** Longest row whose scores are one matrix, of 64 MiB. */
const MOST = 4096

/** Whether rows of up to `longest` tokens take this form: only where that is known, as memory goes by it. */
export function isLong({ forms, subgroups }: Gpu, { T, A, D, longest = 0 }: AttentionOptions): boolean {
  if (!goesByBatch()) return false // it takes whole batches
  if (forms.kind !== 'system software' || D % 4 || longest < LEAST || longest > MOST) return false
  if (T * longest * A * D < LEAST_WORK) return false
  return subgroups?.least === SG && subgroups.most === SG
}

const params = {
  A: 'u32',
  D: 'u32',
  unit: 'u32',
  units: 'u32',
  stride: 'u32',
  scale: 'f32',
  threshold: 'u32',
  keep: 'f32',
  seed: 'u32',
  layer: 'u32',
  step: 'u32',
  what: 'u32',
  to: 'u32',
} as const

const TEXT = philox + STORAGE_WGSL + longWgsl
const made = new Map<string, Kernel<keyof typeof params>>()

type Name = 'scores' | 'weights' | 'gradients' | 'out' | 'dq' | 'dk' | 'dv' | 'deltas'

interface Launch {
  entry: 'scores' | 'weigh' | 'deltas'
  bindings: Access[]
  set: Record<string, number>
  what?: number
  to?: number
}

const QKV: Access[] = ['read', 'read', 'read']
const WEIGH: Access[] = [...QKV, 'write']

/** What the launches differ in: constants of attention_long.wgsl, and what is weighed and written. */
const LAUNCHES: Record<Name, Launch> = {
  scores: { entry: 'scores', bindings: [...WEIGH, 'write'], set: { SCORE: 0 } },
  weights: { entry: 'scores', bindings: [...WEIGH, 'read'], set: { SCORE: 1 } },
  gradients: { entry: 'scores', bindings: [...WEIGH, 'read', 'read', 'write'], set: { SCORE: 2 } },
  out: { entry: 'weigh', bindings: [...WEIGH, 'read', 'write'], set: { EXP: 1 }, what: 2, to: 3 },
  dq: { entry: 'weigh', bindings: WEIGH, set: {}, what: 1, to: 0 },
  dk: { entry: 'weigh', bindings: WEIGH, set: { T: 1 }, what: 0, to: 1 },
  dv: { entry: 'weigh', bindings: WEIGH, set: { T: 1 }, what: 3, to: 2 },
  deltas: { entry: 'deltas', bindings: ['read', 'read', 'write'], set: {} },
}

/** Of columns in fours those of a lane: keys, or values of a head. */
const columnsOf = (name: Name, D: number) => (LAUNCHES[name].entry === 'weigh' && D <= 4 * SG ? 1 : 2)

function kernelOf(name: Name, { D, p = 0, storage }: AttentionOptions) {
  const C = columnsOf(name, D)
  const { entry, bindings, set } = LAUNCHES[name]
  const constants = { ...set, C, DROP: Number(p > 0), F16: Number(storage === 'f16') }
  const key = entry + JSON.stringify(constants)
  const known = made.get(key)
  if (known) return known
  const kernel = defineKernel({
    name: 'attention',
    wgsl: TEXT,
    entry,
    params,
    bindings,
    workgroup: SG,
    constants,
  })
  made.set(key, kernel)
  return kernel
}

/** Rows and heads, cut into parts whose `matrices` fit the room; the launches of each part. */
function byParts(
  gpu: Gpu,
  options: AttentionOptions,
  matrices: number,
  body: (launch: (name: Name, views: View[], share: number) => void, take: View[]) => void,
): void {
  const { A, D, cuSeqlens, longest = 0 } = options
  const shared = headValues(options, 4)
  const all = (cuSeqlens.size / 4 - 1) * A
  const stride = Math.ceil(longest / 4) * 4
  const most = Math.max(1, Math.min(all, Math.floor(ROOM / (stride * stride * 4 * matrices))))
  const tiles = Math.ceil(stride / R)
  gpu.scratch(take => {
    const room = Array.from({ length: matrices }, () => take(most * stride * stride * 4, 'attention scores'))
    for (let unit = 0; unit < all; unit += most) {
      const units = Math.min(most, all - unit)
      const launch = (name: Name, views: View[], share: number) => {
        const columns = LAUNCHES[name].entry === 'weigh' ? Math.ceil(D / (4 * SG * columnsOf(name, D))) : 1
        const work = (share * attentionWork(options) * units) / all
        const { what = 0, to = 0 } = LAUNCHES[name]
        const values = { ...shared, unit, units, stride, what, to }
        gpu.launch(kernelOf(name, options), values, views, units * tiles * columns, work)
      }
      body(launch, room)
    }
  })
}

/** Launches the forward pass. */
export function attentionOfLong(gpu: Gpu, options: AttentionOptions): void {
  const { qkv, keyMask, cuSeqlens, out, lse, T, A } = options
  gpu.scratch(take => {
    const tops = take(T * A * 4, 'attention tops')
    byParts(gpu, options, 1, (launch, [scores]) => {
      launch('scores', [qkv, keyMask, cuSeqlens, scores!, tops], 0.5)
      launch('out', [qkv, scores!, cuSeqlens, out, tops, lse], 0.5)
    })
  })
}

/** And the backward pass, which needs room for delta [T, A]. */
export function attentionBackwardOfLong(gpu: Gpu, options: AttentionBackwardOptions, delta: View): void {
  const { qkv, keyMask, cuSeqlens, out, lse, dout, dqkv, T, A, D } = options
  const rows = T * A
  const none = { ...headValues(options, 4), unit: 0, units: rows, stride: 0, what: 0, to: 0 }
  gpu.launch(kernelOf('deltas', options), none, [dout, out, delta], Math.ceil(rows / SG), rows * D)
  byParts(gpu, options, 2, (launch, [weights, ds]) => {
    launch('weights', [qkv, keyMask, cuSeqlens, weights!, lse], 0.5)
    launch('gradients', [qkv, keyMask, cuSeqlens, weights!, delta, dout, ds!], 0.5)
    launch('dq', [qkv, ds!, cuSeqlens, dqkv], 0.5)
    launch('dk', [qkv, ds!, cuSeqlens, dqkv], 0.5)
    launch('dv', [dout, weights!, cuSeqlens, dqkv], 0.5)
  })
}
