// The forms of attention for GPUs: tiles through workgroup memory, by the length of rows and the size of heads.
import { type Access, defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import packedWgsl from '../wgsl/attention_packed.ts'
import tileWgsl from '../wgsl/attention_tile.ts'
import backwardWgsl from '../wgsl/attention_tile_backward.ts'
import forwardWgsl from '../wgsl/attention_tile_forward.ts'
import packedTileWgsl from '../wgsl/attention_tile_packed.ts'
import philox from '../wgsl/philox.ts'
import {
  ATTENTION_PARAMS,
  type AttentionBackwardOptions,
  type AttentionOptions,
  attentionWork,
  PACKED,
  packedValues,
} from './attention-packed.ts'
import { STORAGE_WGSL } from './width.ts'

/** One way to cut rows and heads; the constants of attention_tile.wgsl. */
export interface AttentionTile {
  /** Tokens of a row that a workgroup takes. */
  N: number
  /** Tokens that they meet at a time. */
  M: number
  /** Of its own tokens those of an invocation. */
  R: number
  /** Of a slice's vectors those of an invocation. */
  W: number
}

type Sized = AttentionTile & { upTo: number; mostD: number }

/** Rows of a few tokens: a lane for every four scores, and a head of up to 64 in one slice. */
const SHORT: Sized = { N: 16, M: 16, R: 1, W: 4, upTo: 32, mostD: 128 }
const any = Number.POSITIVE_INFINITY
/** By the maker's name, else under ''. */
const TILES: Record<string, readonly Sized[]> = {
  '': [
    SHORT,
    { N: 64, M: 32, R: 4, W: 1, upTo: any, mostD: 64 },
    { N: 32, M: 32, R: 4, W: 1, upTo: any, mostD: 128 },
  ],
  // Mesa's compiler for NVIDIA spills with four tokens an invocation, and has 147 to 211 registers with two (bench/NOTES.md).
  nvidia: [SHORT, { N: 32, M: 32, R: 2, W: 1, upTo: any, mostD: 128 }],
}

/** The tile for heads of D values and rows of up to `longest` tokens; undefined where the plain form serves. */
export function attentionTile({ forms }: Gpu, D: number, longest: number): AttentionTile | undefined {
  if (forms.kind !== 'hardware' || D % 4) return undefined
  const tiles = Object.hasOwn(TILES, forms.vendor) ? TILES[forms.vendor]! : TILES['']!
  const tile = tiles.find(({ upTo, mostD }) => longest <= upTo && D <= mostD)
  // A short head is a slice of fewer vectors.
  return tile && { ...tile, W: Math.min(tile.W, 2 ** Math.ceil(Math.log2(Math.max(1, D / tile.M)))) }
}

/** Invocations of a workgroup. */
export const lanesOf = ({ N, M, R }: AttentionTile): number => ((N / R) * M) / 4
/** A tile as constants of attention_tile.wgsl, with the slices of a head of D values. */
export const tileConstants = ({ N, M, R, W }: AttentionTile, D: number) => ({
  N,
  M,
  R,
  W,
  SL: Math.ceil(D / (M * W)),
})

const TEXT = philox + STORAGE_WGSL + packedWgsl + packedTileWgsl + tileWgsl
const BINDINGS: Record<string, Access[]> = {
  forward: [...PACKED, 'write', 'write'],
  backward_q: [...PACKED, 'read', 'read', 'write', 'read', 'write'],
  backward_kv: [...PACKED, 'read', 'read', 'write', 'read'],
}
const made = new Map<string, Kernel<keyof typeof ATTENTION_PARAMS>>()

function tileKernel(
  entry: 'forward' | 'backward_q' | 'backward_kv',
  tile: AttentionTile,
  options: AttentionOptions,
) {
  const { D, p = 0, storage } = options
  const cut = tileConstants(tile, D)
  const key = `${entry} ${cut.N} ${cut.R} ${cut.W} ${cut.SL} ${p > 0} ${storage}`
  const known = made.get(key)
  if (known) return known
  const BACKWARD = Number(entry !== 'forward')
  const kernel = defineKernel({
    name: 'attention',
    wgsl: TEXT + (BACKWARD ? backwardWgsl : forwardWgsl),
    entry,
    params: ATTENTION_PARAMS,
    bindings: BINDINGS[entry]!,
    workgroup: lanesOf(tile),
    constants: { ...cut, BACKWARD, DROP: Number(p > 0), F16: Number(storage === 'f16') },
  })
  made.set(key, kernel)
  return kernel
}

/** Launches the forward pass by tiles. */
export function attentionByTiles(gpu: Gpu, tile: AttentionTile, options: AttentionOptions): void {
  const { qkv, keyMask, cuSeqlens, out, lse } = options
  const values = packedValues(options, tile.N, 4)
  const views = [qkv, keyMask, cuSeqlens, out, lse]
  gpu.launch(
    tileKernel('forward', tile, options),
    values,
    views,
    values.slots * values.A,
    attentionWork(options),
  )
}

/** And the backward pass, which needs room for delta [T, A]. */
export function attentionBackwardByTiles(
  gpu: Gpu,
  tile: AttentionTile,
  options: AttentionBackwardOptions,
  delta: View,
): void {
  const { qkv, keyMask, cuSeqlens, out, lse, dout, dqkv } = options
  const values = packedValues(options, tile.N, 4)
  const views = [qkv, keyMask, cuSeqlens, lse, dout, dqkv]
  const groups = values.slots * values.A
  const work = attentionWork(options)
  gpu.launch(tileKernel('backward_q', tile, options), values, [...views, out, delta], groups, 2 * work)
  gpu.launch(tileKernel('backward_kv', tile, options), values, [...views, delta], groups, 3 * work)
}
