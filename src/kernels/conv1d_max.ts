// Windows over the words of packed texts, and the largest over each text: the CNN encoder of texts (Kim 2014).
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/conv1d_max.ts'
import { expectSizes, expectView, given } from './checks.ts'

const WG = 64
const params = {
  B: 'u32',
  T: 'u32',
  I: 'u32',
  F: 'u32',
  W: 'u32',
  add_weight: 'u32',
  add_bias: 'u32',
} as const
const kernel = (entry: string, bindings: Access[]) =>
  defineKernel({ name: 'conv1d_max', wgsl, entry, params, bindings })
const convolve = kernel('convolve', ['read', 'read', 'read', 'read', 'write', 'write'])
const weightBackward = kernel('weight_backward', ['read', 'read', 'read', 'write', 'write'])
const xBackward = kernel('x_backward', ['read', 'read', 'read', 'read', 'write'])

/** Rows of T tokens of I numbers; F filters over windows of W tokens. */
interface Sizes {
  B: number
  T: number
  I: number
  F: number
  W: number
}

function checkSizes(op: string, { B, T, I, F, W }: Sizes): Sizes {
  expectSizes(op, { B, T, I, F, W })
  return { B, T, I, F, W }
}

/**
 * y [B, F] = the largest of 0 and bias[f] + sum over i, k of weight[f, i, k] x[t + k, i], over the windows t of each packed row that hold
 * W tokens of it; `at` [B, F] uint32 = the first token of the first window that has it, 0xffffffff where none is above 0. Rows by
 * cuSeqlens [B + 1]. Overwrites both. Source: `torch.nn.Conv1d`, ReLU, maximum over time.
 */
export function conv1dMax(
  gpu: Gpu,
  options: Sizes & { x: View; weight: View; bias: View; cuSeqlens: View; y: View; at: View },
): void {
  const { x, weight, bias, cuSeqlens, y, at } = given('conv1dMax', gpu, options)
  const sizes = checkSizes('conv1dMax', options)
  const { B, T, I, F, W } = sizes
  expectView('conv1dMax', 'x', x, T * I)
  expectView('conv1dMax', 'weight', weight, F * I * W)
  expectView('conv1dMax', 'bias', bias, F)
  expectView('conv1dMax', 'cuSeqlens', cuSeqlens, B + 1)
  expectView('conv1dMax', 'y', y, B * F)
  expectView('conv1dMax', 'at', at, B * F)
  if (B * F === 0) return
  const views = [cuSeqlens, x, weight, bias, y, at]
  gpu.launch(
    convolve,
    { ...sizes, add_weight: 0, add_bias: 0 },
    views,
    Math.ceil((B * F) / WG),
    T * F * I * W,
  )
}

/**
 * Gradients of `conv1dMax`, of its `at` and dy [B, F]: dweight [F, I, W] and dbias [F], overwritten or added to, and dx [T, I],
 * overwritten, by the row of each token, rowIds [T]. Those of which no view is given are left out; weight and bias go together.
 */
export function conv1dMaxBackward(
  gpu: Gpu,
  options: Sizes & {
    x: View
    weight: View
    rowIds: View
    at: View
    dy: View
    dx?: View | undefined
    dweight?: View | undefined
    dbias?: View | undefined
    /** Whether dweight, and dbias, are added to. */
    addTo?: { weight: boolean; bias: boolean }
  },
): void {
  const op = 'conv1dMaxBackward'
  const { x, weight, rowIds, at, dy, dx, dweight, dbias, addTo } = given(op, gpu, options)
  const sizes = checkSizes(op, options)
  const { B, T, I, F, W } = sizes
  expectView(op, 'x', x, T * I)
  expectView(op, 'weight', weight, F * I * W)
  expectView(op, 'rowIds', rowIds, T)
  expectView(op, 'at', at, B * F)
  expectView(op, 'dy', dy, B * F)
  if (dx) expectView(op, 'dx', dx, T * I)
  if (dweight || dbias) {
    expectView(op, 'dweight', dweight!, F * I * W)
    expectView(op, 'dbias', dbias!, F)
  }
  const launched = {
    ...sizes,
    add_weight: Number(addTo?.weight ?? false),
    add_bias: Number(addTo?.bias ?? false),
  }
  const n = F * I * W
  if (dweight && dbias && n)
    gpu.launch(weightBackward, launched, [at, x, dy, dweight, dbias], Math.ceil(n / WG), n * B)
  if (dx && T * I)
    gpu.launch(xBackward, launched, [rowIds, at, weight, dy, dx], Math.ceil((T * I) / WG), T * I * F)
}
