// Attention from one set of packed rows to another on GPUs: tiles through workgroup memory, as attention-tiles.ts cuts them.
import { type Access, defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import tileWgsl from '../wgsl/attention_tile.ts'
import backwardWgsl from '../wgsl/attention_tile_backward.ts'
import crossedWgsl from '../wgsl/attention_tile_crossed.ts'
import forwardWgsl from '../wgsl/attention_tile_forward.ts'
import statsWgsl from '../wgsl/cross_attention_stats.ts'
import { type AttentionTile, attentionTile, lanesOf, tileConstants } from './attention-tiles.ts'
import { rowsForForms } from './batch-forms.ts'
import { GROUP_WGSL, rowGroup, rowGroups } from './groups.ts'

/** Queries and keys in packed rows: row b of either side meets row b of the other. */
export interface CrossAttentionOptions {
  /** [Tq, A, D] float32. */
  q: View
  /** [Tk, A, D] float32. */
  k: View
  /** [Tk, A, D] float32. */
  v: View
  /** uint32: where the rows of queries begin [B + 1], where those of keys begin [B + 1], and if `masked` 0 for what is no key [Tk]. */
  index: View
  /** [Tq, A, D] float32; written by the forward pass. */
  out: View
  /** [Tq, A], logarithm of the sum of exp(scores); written by the forward pass. */
  lse: View
  B: number
  Tq: number
  Tk: number
  A: number
  D: number
  /** A query sees the keys at its own place of the row and before. */
  causal?: boolean
  /** index says which tokens are keys. */
  masked?: boolean
  /** What q·k is multiplied by; 1/√D by default. */
  scale?: number
}

/** Rows of one side that meet the other side's, all checked. */
export type Crossed = Required<CrossAttentionOptions>

/** The tile for `T` tokens of one side, in B rows; undefined where the plain form serves. */
export const crossedTile = (gpu: Gpu, { B, D }: Crossed, T: number): AttentionTile | undefined =>
  attentionTile(gpu, D, rowsForForms(Math.min(T, Math.ceil((2 * T) / Math.max(1, B)))))

const PARAMS = {
  B: 'u32',
  A: 'u32',
  D: 'u32',
  slots: 'u32',
  queries: 'u32',
  scale: 'f32',
  causal: 'u32',
  masked: 'u32',
} as const
const READ: Access[] = ['read', 'read', 'read', 'read'] // q, k, v, index
const BINDINGS: Record<string, Access[]> = {
  forward: [...READ, 'write', 'write'],
  backward_q: [...READ, 'read', 'read', 'write'],
  backward_kv: [...READ, 'read', 'read', 'write', 'write'],
}
const PRODUCTS = { forward: 2, backward_q: 3, backward_kv: 4 }
const made = new Map<string, Kernel<keyof typeof PARAMS>>()

/** Launches an entry over the tokens of the side that workgroups take, `T` in all. */
function launch(
  gpu: Gpu,
  entry: keyof typeof PRODUCTS,
  tile: AttentionTile,
  { B, A, D, Tq, Tk, scale, causal, masked }: Crossed,
  T: number,
  views: View[],
): void {
  const cut = tileConstants(tile, D)
  const key = `${entry} ${cut.N} ${cut.R} ${cut.W} ${cut.SL}`
  let kernel = made.get(key)
  if (!kernel) {
    const BACKWARD = Number(entry !== 'forward')
    kernel = defineKernel({
      name: 'cross_attention',
      wgsl: crossedWgsl + tileWgsl + (BACKWARD ? backwardWgsl : forwardWgsl),
      entry,
      params: PARAMS,
      bindings: BINDINGS[entry]!,
      workgroup: lanesOf(tile),
      constants: { ...cut, BACKWARD },
    })
    made.set(key, kernel)
  }
  const slots = Math.floor(T / tile.N) + B
  const work = (PRODUCTS[entry] * Tq * Tk * A * D) / Math.max(B, 1)
  const params = { B, A, D: D / 4, slots, queries: Tq, scale, causal: Number(causal), masked: Number(masked) }
  gpu.launch(kernel, params, views, slots * A, work)
}

/** Launches the forward pass. */
export function crossedForward(gpu: Gpu, tile: AttentionTile, options: Crossed): void {
  const { q, k, v, index, out, lse, Tq } = options
  launch(gpu, 'forward', tile, options, Tq, [q, k, v, index, out, lse])
}

/** The kernel that puts lse and delta of heads of `D` vectors side by side. */
function statsKernel(D: number) {
  const { workgroup, LANES } = rowGroup(D, 4)
  const key = `stats ${LANES}`
  let kernel = statsKernels.get(key)
  if (!kernel) {
    kernel = defineKernel({
      name: 'cross_attention',
      wgsl: GROUP_WGSL + statsWgsl,
      entry: 'delta',
      params: { queries: 'u32', A: 'u32', D: 'u32' },
      bindings: ['read', 'read', 'read', 'write'],
      workgroup,
      constants: { LANES },
    })
    statsKernels.set(key, kernel)
  }
  return kernel
}
const statsKernels = new Map<string, Kernel<'queries' | 'A' | 'D'>>()

/** Launches the backward pass; what is not wanted of it is left out, or goes to memory of its own. */
export function crossedBackward(
  gpu: Gpu,
  options: Crossed & { dout: View; dq?: View | undefined; dk?: View | undefined; dv?: View | undefined },
): void {
  const { q, k, v, index, out, lse, dout, dq, dk, dv, Tq, Tk, A, D } = options
  gpu.scratch(take => {
    const stats = take(Math.max(Tq * A, 1) * 8, 'lse and delta')
    const vectors = D / 4
    if (Tq > 0) {
      const groups = rowGroups(Tq * A, rowGroup(vectors, 4))
      gpu.launch(statsKernel(vectors), { queries: Tq, A, D: vectors }, [lse, out, dout, stats], groups)
    }
    const views = [q, k, v, index, stats, dout]
    const tileOf = (T: number) => crossedTile(gpu, options, T)!
    if (dq && Tq > 0) launch(gpu, 'backward_q', tileOf(Tq), options, Tq, [...views, dq])
    if ((dk || dv) && Tk > 0) {
      const other = () => take(Tk * A * D * 4, 'gradient that nobody wants')
      launch(gpu, 'backward_kv', tileOf(Tk), options, Tk, [...views, dk ?? other(), dv ?? other()])
    }
  })
}
