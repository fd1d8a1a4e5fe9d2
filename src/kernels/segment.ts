// Segments of rows: lists of documents, words of a text, ids of a row.
import { expectOneOf } from '../check.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/segment.ts'
import { expectSizes, expectView, given } from './checks.ts'

const WG = 64
const kernel = (entry: string, bindings: Access[]) =>
  defineKernel({ name: 'segment', wgsl, entry, params: { B: 'u32', I: 'u32', mean: 'u32' }, bindings })
const one = (entry: string) => ({
  forward: kernel(entry, ['read', 'read', 'write']),
  backward: kernel(`${entry}_backward`, ['read', 'read', 'read', 'read', 'write']),
})
const passing = (entry: string) => ({
  forward: kernel(entry, ['read', 'read', 'write']),
  backward: kernel(`${entry}_backward`, ['read', 'read', 'write']),
})
const KERNELS = {
  sum: passing('sum'),
  mean: passing('sum'),
  max: one('top'),
  logSumExp: {
    forward: kernel('log_sum_exp', ['read', 'read', 'write']),
    backward: kernel('log_sum_exp_backward', ['read', 'read', 'read', 'write']),
  },
  softmax: {
    forward: kernel('distribution', ['read', 'read', 'write']),
    backward: kernel('distribution_backward', ['read', 'read', 'read', 'write']),
  },
}

interface Given {
  x: View
  y: View
  dy: View
}
/** What a gradient is made of. */
const READ: Record<keyof typeof KERNELS, (given: Given) => View[]> = {
  sum: ({ dy }) => [dy],
  mean: ({ dy }) => [dy],
  max: ({ x, y, dy }) => [x, y, dy],
  logSumExp: ({ x, dy }) => [x, dy],
  softmax: ({ y, dy }) => [y, dy],
}

/** What is made of a segment. */
export type SegmentKind = keyof typeof KERNELS

/** Segment b of x [N, I] is its rows starts[b] to starts[b + 1] - 1; starts [B + 1] uint32. */
interface Segments {
  kind: SegmentKind
  starts: View
  B: number
  I: number
}

/** Checks what is known on the host, with a view of y's shape: how many rows x has stands in `starts`. */
function checkSegments(op: string, { kind, starts, B, I }: Segments, name: string, result: View): void {
  expectOneOf(`${op}: kind`, kind, Object.keys(KERNELS))
  expectSizes(op, { B, I })
  expectView(op, 'starts', starts, B + 1)
  expectView(op, name, result, kind === 'softmax' ? 0 : B * I)
}

/**
 * y = the sum, mean, largest value or log-sum-exp of each segment's rows, column by column, [B, I]; or their softmax, [N, I]. float32,
 * overwritten. Of no rows: 0, 0, -infinity, -infinity. Source: `torch.segment_reduce`.
 */
export function segment(gpu: Gpu, options: Segments & { x: View; y: View }): void {
  const { kind, starts, x, y, B, I } = given('segment', gpu, options)
  checkSegments('segment', options, 'y', y)
  if (B * I === 0) return
  const params = { B, I, mean: Number(kind === 'mean') }
  gpu.launch(KERNELS[kind].forward, params, [starts, x, y], Math.ceil((B * I) / WG))
}

/** dx [N, I] = the gradient of `segment`, of its result y and dy of y's shape. Overwrites the rows of the segments. */
export function segmentBackward(
  gpu: Gpu,
  options: Segments & { x: View; y: View; dy: View; dx: View },
): void {
  const { kind, starts, x, y, dy, dx, B, I } = given('segmentBackward', gpu, options)
  checkSegments('segmentBackward', options, 'dy', dy)
  if (B * I === 0) return
  const params = { B, I, mean: Number(kind === 'mean') }
  const read = READ[kind]({ x, y, dy })
  gpu.launch(KERNELS[kind].backward, params, [starts, ...read, dx], Math.ceil((B * I) / WG))
}
