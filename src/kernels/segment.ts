// Segments of rows: lists of documents, words of a text, ids of a row.
import { expectOneOf } from '../check.ts'
import { type Access, defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/segment.ts'
import workgroupWgsl from '../wgsl/segment_workgroup.ts'
import { expectSizes, expectView, given } from './checks.ts'
import { COLUMN_WGSL } from './groups.ts'

const WG = 64
/** Columns that neighbouring invocations of a GPU have at most: the others share out a segment's rows. */
const MOST_COLUMNS = 32

interface Shape {
  B: number
  I: number
  mean: number
}

/** What launches an entry: a column of a segment an invocation, or on a GPU some columns a workgroup. */
function kernel(entry: string, bindings: Access[]) {
  const declared = { name: 'segment', entry, params: { B: 'u32', I: 'u32', mean: 'u32' }, bindings } as const
  const plain = defineKernel({ ...declared, wgsl })
  const shared = defineKernel({ ...declared, wgsl: COLUMN_WGSL + workgroupWgsl, workgroup: WG })
  const made = new Map<number, Kernel<keyof Shape>>()
  return (gpu: Gpu, shape: Shape, views: View[]): void => {
    const { B, I } = shape
    if (gpu.forms.kind !== 'hardware') {
      gpu.launch(plain, { ...shape }, views, Math.ceil((B * I) / WG))
      return
    }
    const COLUMNS = Math.min(MOST_COLUMNS, 2 ** Math.ceil(Math.log2(I)))
    let found = made.get(COLUMNS)
    if (!found) {
      found = withConstants(shared, { COLUMNS })
      made.set(COLUMNS, found)
    }
    gpu.launch(found, { ...shape }, views, B * Math.ceil(I / COLUMNS))
  }
}
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
  logSoftmax: {
    forward: kernel('log_distribution', ['read', 'read', 'write']),
    backward: kernel('log_distribution_backward', ['read', 'read', 'read', 'write']),
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
  logSoftmax: ({ y, dy }) => [y, dy],
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
  expectView(op, name, result, kind === 'softmax' || kind === 'logSoftmax' ? 0 : B * I)
}

/**
 * y = the sum, mean, largest value or log-sum-exp of each segment's rows, column by column, [B, I]; or their softmax or its logarithm, [N, I]. float32,
 * overwritten. Of no rows: 0, 0, -infinity, -infinity. Source: `torch.segment_reduce`.
 */
export function segment(gpu: Gpu, options: Segments & { x: View; y: View }): void {
  const { kind, starts, x, y, B, I } = given('segment', gpu, options)
  checkSegments('segment', options, 'y', y)
  if (B * I === 0) return
  const params = { B, I, mean: Number(kind === 'mean') }
  KERNELS[kind].forward(gpu, params, [starts, x, y])
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
  KERNELS[kind].backward(gpu, params, [starts, ...read, dx])
}
