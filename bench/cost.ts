// What a launch has to do, the least time that takes on a card, and the time the cost model gives it: bench/NOTES.md has its assumptions.
import type { FeatureBatch } from '../src/config/index.ts'
import { type Kernel, wgslText } from '../src/gpu/index.ts'
import type { Launched } from './launches.ts'

/** What a card does at most, and what a launch costs it. */
export interface Card {
  /** 10⁹ operations a second, a multiply-add counted as two. */
  gflops: number
  /** The same in half precision; null where it has none. */
  gflopsF16: number | null
  /** 10⁹ bytes a second, read or written. */
  gbps: number
  /** Milliseconds of a launch that does nothing, among others. */
  launchMs: number
  /** Invocations at the same time. */
  lanes: number
}

/** What a launch does. */
export interface Work {
  flops: number
  /** Of every operand once; of what is updated in place, twice. */
  bytes: number
}

/** What a kernel reaches of the peak that binds it, once it fills the card. */
const REACHED = { matmul: 0.5, attention: 0.3, other: 0.75 }
/** A launch runs at the share of lanes that it fills, but not below this. */
const LEAST_FILL = 1 / 64

/**
 * @param pairs of tokens in a row, over all rows, times the hidden size: what attention multiplies
 */
export function workOf({ name, params, bytes, values, kernel }: Launched, pairs: number): Work {
  const moved = bytes.reduce((sum, size, i) => {
    const once = Math.min(size, 4 * values)
    const updated = kernel.bindings[i] === 'write' && ('first_entry' in params || 'blocks' in params)
    return sum + (updated ? 2 * once : once)
  }, 0)
  return { flops: flopsOf(name, params, pairs), bytes: moved }
}

function flopsOf(name: string, { M, N, K, splits }: Record<string, number>, pairs: number): number {
  if (name === 'matmul.sum') return M! * N! * splits!
  if (name.startsWith('matmul.')) return 2 * M! * N! * K!
  if (!name.startsWith('attention.')) return 0
  // Forward two products; backward scores and their gradient in each launch, and what it adds up.
  if (!name.includes('backward')) return 4 * pairs
  return name.endsWith('_q') ? 6 * pairs : name.endsWith('_kv') ? 8 * pairs : 10 * pairs
}

/** Milliseconds that no kernel can be below. */
export const floorMs = ({ flops, bytes }: Work, { gflops, gbps }: Card): number =>
  Math.max(flops / gflops, bytes / gbps) / 1e6

const inF16 = new WeakMap<Kernel, boolean>()

function computesInF16(kernel: Kernel): boolean {
  let known = inF16.get(kernel)
  if (known === undefined) {
    const { prelude = '', wgsl, workgroup, constants } = kernel
    known = /^enable f16;/m.test(wgslText(`${prelude}\n${wgsl}`, { WG: workgroup, ...constants }))
    inF16.set(kernel, known)
  }
  return known
}

/**
 * Milliseconds by the model: the card runs as many invocations as it has lanes, round by round, and the last round is not full. A product
 * whose kernel computes in f16 runs at that rate.
 */
export function modelMs(launch: Launched, { flops, bytes }: Work, card: Card): number {
  const { kernel, invocations, name } = launch
  const family = name.split('.')[0]!
  const reached = REACHED[family as keyof typeof REACHED] ?? REACHED.other
  const rounds = invocations / card.lanes
  const fill = Math.max(rounds / Math.ceil(rounds), LEAST_FILL)
  const half = card.gflopsF16 !== null && computesInF16(kernel)
  const gflops = half ? card.gflopsF16! : card.gflops
  // Fewer lanes than there are move nearly as many bytes.
  return card.launchMs + Math.max(flops / gflops / fill, bytes / card.gbps / Math.sqrt(fill)) / reached / 1e6
}

/** Pairs of tokens in a row times the hidden size. */
export function pairsOf({ text }: FeatureBatch, dim: number): number {
  const { cuSeqlens } = text!
  let pairs = 0
  for (let b = 0; b + 1 < cuSeqlens.length; b++) pairs += (cuSeqlens[b + 1]! - cuSeqlens[b]!) ** 2
  return pairs * dim
}
