// What is made of segments of rows that lie one behind the other: lists of documents, ids of a row, words of a text.
import { ArgumentError, ShapeError } from '../../errors.ts'
import { type SegmentKind, segmentBackward, segment as segmentKernel } from '../../kernels/segment.ts'
import { numel } from '../../kernels/strides.ts'
import { expectTensor, IDS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { type Tensor, tensor } from '../tensor.ts'
import { cast } from './cast.ts'

/**
 * Where segments begin, [B + 1]: segment b is the rows starts[b] to starts[b + 1] - 1. It begins at 0, never falls and ends at the number
 * of rows; a Uint32Array is checked, what is on the device is not.
 */
export type Starts = Uint32Array | Tensor

/**
 * Starts on the device, once they fit x's rows.
 * @throws ShapeError for starts that are empty, fall, or end elsewhere than the rows
 */
export function startsOn(name: string, x: Tensor, starts: Starts): Tensor {
  if (x.shape.length === 0) throw new ShapeError(`${name}: a tensor without dimensions has no rows`)
  if (!(starts instanceof Uint32Array)) expectTensor(name, 'starts', starts, IDS)
  const length = starts instanceof Uint32Array ? starts.length : starts.size
  if (length === 0) throw new ShapeError(`${name}: starts is empty, expected [B + 1] with a 0 in front`)
  if (!(starts instanceof Uint32Array)) return starts
  const rows = x.shape[0]!
  if (starts[0] !== 0) throw new ShapeError(`${name}: starts[0] is ${starts[0]}, expected 0`)
  const falls = starts.findIndex((start, b) => b > 0 && start < starts[b - 1]!)
  if (falls > 0)
    throw new ShapeError(
      `${name}: starts[${falls}] is ${starts[falls]} and the one before ${starts[falls - 1]}, expected no fall`,
    )
  const last = starts.at(-1)
  if (last !== rows)
    throw new ShapeError(
      `${name}: starts ends at ${last}, expected ${rows}, the rows of [${x.shape.join(', ')}]`,
    )
  return tensor(x.gpu, starts)
}

/**
 * Starts whose values the host knows.
 * @throws ArgumentError for what is neither an array nor a tensor made of one
 */
export function knownStarts(name: string, starts: Starts): Uint32Array {
  if (starts instanceof Uint32Array) return starts
  expectTensor(name, 'starts', starts, IDS)
  if (starts.known) return starts.known
  throw new ArgumentError(`${name}: starts was computed on the device, expected a Uint32Array`)
}

/** The segment of each row, [N], of starts that are right. */
export function rowOfEach(starts: Uint32Array): Uint32Array<ArrayBuffer> {
  const rows = new Uint32Array(starts.at(-1)!)
  for (let b = 0; b + 1 < starts.length; b++) rows.fill(b, starts[b], starts[b + 1])
  return rows
}

/** Whether every row has a result of its own. */
const byRow = (kind: SegmentKind) => kind === 'softmax' || kind === 'logSoftmax'

function segmentOp(kind: SegmentKind, name: string) {
  const op = defineOp({
    name,
    inputs: ['x', 'starts'],
    dtypes: { x: ['f32'], starts: ['u32'] },
    shape: ({ x, starts }) => (byRow(kind) ? x.shape : x.shape.with(0, starts.size - 1)),
    forward({ gpu, x, starts, out }) {
      const B = starts.size - 1
      if (byRow(kind)) gpu.clear(out.view)
      const I = numel(x.shape.slice(1))
      segmentKernel(gpu, { kind, starts: starts.view, x: x.view, y: out.view, B, I })
    },
    backward({ gpu, x, starts, out, dout, dx }) {
      const B = starts.size - 1
      const I = numel(x.shape.slice(1))
      gpu.clear(dx.view)
      const views = { starts: starts.view, x: x.view, y: out.view, dy: dout.view, dx: dx.view }
      segmentBackward(gpu, { kind, ...views, B, I })
    },
  })
  return (x: Tensor, starts: Starts): Tensor => op(cast(x, 'f32'), startsOn(name, x, starts))
}

/** The sum of each segment's rows, x [N, …] to [B, …] float32; 0 of no rows. */
export const segmentSum = segmentOp('sum', 'segmentSum')
/** The mean of each segment's rows; 0 of no rows. */
export const segmentMean = segmentOp('mean', 'segmentMean')
/** The largest of each segment's rows, column by column; -infinity of no rows. NaN wins, equal ones share the gradient evenly. */
export const segmentMax = segmentOp('max', 'segmentMax')
/** log of the sum of exponentials of each segment's rows, column by column, of any size; -infinity of no rows. */
export const segmentLogSumExp = segmentOp('logSumExp', 'segmentLogSumExp')
/** The softmax of each segment's rows, column by column: x [N, …] to the same shape. */
export const segmentSoftmax = segmentOp('softmax', 'segmentSoftmax')
/** The logarithm of {@link segmentSoftmax}, differences first, so that large values lose nothing. */
export const segmentLogSoftmax = segmentOp('logSoftmax', 'segmentLogSoftmax')
