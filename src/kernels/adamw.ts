import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/adamw.ts'
import { byWidth, widthOf } from './width.ts'

/** Elements per block of the dense kernel; flat parameter memory is cut into blocks of this many. */
export const ADAMW_BLOCK = 64
/** In `slots`, a block that is left alone. */
export const ADAMW_SKIP = 0xffffffff

/** One optimizer step's numbers for one parameter group. */
export interface AdamWStep {
  lr: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
}

/** The eight floats the kernels read for step `t` (from 1) of a group; computed in float64. */
export function adamwHistory({ lr, beta1, beta2, eps, weightDecay }: AdamWStep, t: number): number[] {
  return [
    1 - lr * weightDecay,
    lr / (1 - beta1 ** t),
    1 / Math.sqrt(1 - beta2 ** t),
    eps,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
  ]
}

const dense = defineKernel({
  name: 'adamw',
  wgsl,
  entry: 'dense',
  params: { blocks: 'u32', groups: 'u32', step: 'u32' },
  bindings: ['read', 'read', 'read', 'read', 'write', 'write', 'write'],
  workgroup: 8,
})

// R, four columns or one, an invocation of the row kernel takes: 4 are no faster, and compile twice as long.
const PER = 2
const rowSparse = byWidth(
  defineKernel({
    name: 'adamw',
    wgsl,
    entry: 'rows',
    params: {
      n: 'u32',
      width: 'u32',
      lanes: 'u32',
      groups: 'u32',
      group: 'u32',
      until: 'u32',
      with_grad: 'u32',
      first_entry: 'u32',
    },
    bindings: ['read', 'read', 'read', 'read', 'write', 'write', 'write'],
    workgroup: 16,
    constants: { PER },
  }),
)

/** What a step reads and writes: weights and moments in flat memory of one length. */
export interface AdamWMemory {
  w: View
  m: View
  v: View
  /** Eight floats per step and group, from `adamwHistory`. */
  history: View
  /** One value that multiplies gradients; negative: they count as zero. */
  clip: View
  /** Number of parameter groups: the stride of `history`. */
  groups: number
}

/**
 * One AdamW step over flat memory of `blocks` blocks of 64 elements. slots: [blocks] uint32, each block's group or
 * ADAMW_SKIP; `step` indexes `history`. Source: torch.optim.AdamW.
 */
export function adamw(
  gpu: Gpu,
  {
    w,
    m,
    v,
    history,
    clip,
    groups,
    g,
    slots,
    blocks,
    step,
  }: AdamWMemory & { g: View; slots: View; blocks: number; step: number },
): void {
  gpu.launch(
    dense,
    { blocks, groups, step },
    [g, slots, history, clip, w, m, v],
    Math.ceil(blocks / dense.workgroup),
  )
}

/**
 * AdamW over some rows of a table shard [rows, width], as exact as the dense kernel. entries: pairs (row in the shard, index in
 * `history` of the first step to replay); entries `firstEntry` to `firstEntry + n - 1` are taken. Steps up to, and
 * without, `until` are replayed with a zero gradient; with `g` ([entries, width]), step `until` is taken with that gradient.
 */
export function adamwRows(
  gpu: Gpu,
  options: AdamWMemory & {
    entries: View
    firstEntry: number
    n: number
    width: number
    group: number
    until: number
    g?: View
  },
): void {
  const { w, m, v, history, clip, groups, entries, firstEntry, n, width, group, until, g } = options
  if (n === 0) return
  const by = widthOf(width)
  const lanes = Math.ceil(width / by / PER)
  const flags = { with_grad: g ? 1 : 0, first_entry: firstEntry }
  const params = { n, width: width / by, lanes, groups, group, until, ...flags }
  const views = [g ?? history, entries, history, clip, w, m, v]
  gpu.launch(rowSparse[by], params, views, Math.ceil((n * lanes) / rowSparse[by].workgroup))
}
