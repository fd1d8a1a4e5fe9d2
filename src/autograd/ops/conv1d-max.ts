import { ShapeError } from '../../errors.ts'
import { conv1dMaxBackward, conv1dMax as conv1dMaxKernel } from '../../kernels/conv1d_max.ts'
import { expectRank, expectTensors, FLOAT32 } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { empty, type Shape, type Tensor, tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { knownStarts, rowOfEach, type Starts, startsOn } from './segments.ts'
import { expectShape } from './shapes.ts'

const sizesOf = ({ x, weight, starts }: { x: Tensor; weight: Tensor; starts: Tensor }) => {
  const [T, I] = x.shape as [number, number]
  const [F, , W] = weight.shape as [number, number, number]
  return { B: starts.size - 1, T, I, F, W }
}

const op = defineOp({
  name: 'conv1dMax',
  inputs: ['x', 'weight', 'bias', 'starts', 'rowIds'],
  dtypes: { x: ['f32'], weight: ['f32'], bias: ['f32'], starts: ['u32'], rowIds: ['u32'] },
  shape: ({ weight, starts }) => [starts.size - 1, weight.shape[0]!],
  saved: ({ weight, starts }) => ({ at: { shape: [starts.size - 1, weight.shape[0]!], dtype: 'u32' } }),
  forward({ gpu, x, weight, bias, starts, at, out }) {
    const read = { x: x.view, weight: weight.view, bias: bias.view, cuSeqlens: starts.view }
    conv1dMaxKernel(gpu, { ...sizesOf({ x, weight, starts }), ...read, y: out.view, at: at.view })
  },
  backward(context) {
    const { gpu, x, weight, bias, starts, rowIds, at, dout, needsInputGrad, into } = context
    const read = { x: x.view, weight: weight.view, rowIds: rowIds.view, at: at.view, dy: dout.view }
    const dx = needsInputGrad.x ? context.dx.view : undefined
    if (!needsInputGrad.weight && !needsInputGrad.bias) {
      conv1dMaxBackward(gpu, { ...sizesOf({ x, weight, starts }), ...read, dx })
      return
    }
    // One launch gives both: of one that is frozen, nobody reads it.
    const unread = (needed: boolean, shape: Shape) => (needed ? undefined : empty(gpu, shape))
    const spare = {
      weight: unread(needsInputGrad.weight, weight.shape),
      bias: unread(needsInputGrad.bias, bias.shape),
    }
    const dweight = spare.weight ? { view: spare.weight.view, accumulate: false } : into.weight
    const dbias = spare.bias ? { view: spare.bias.view, accumulate: false } : into.bias
    conv1dMaxBackward(gpu, {
      ...{ ...sizesOf({ x, weight, starts }), ...read, dx },
      ...{ dweight: dweight.view, dbias: dbias.view },
      addTo: { weight: dweight.accumulate, bias: dbias.accumulate },
    })
    spare.weight?.dispose()
    spare.bias?.dispose()
  },
})

/**
 * Windows over the tokens of packed rows, ReLU, and the largest over each row: x [T, I], weight [F, I, W] and bias [F] to [B, F] float32. Row b
 * is the tokens starts[b] to starts[b + 1] - 1; a window lies within one row, and a row of fewer than W tokens gives 0. Of equal largest windows
 * the first takes the gradient. Source: `torch.nn.functional.conv1d`, ReLU and a maximum over time (Kim 2014).
 *
 * @param given starts, [B + 1]: values that the host knows.
 */
export function conv1dMax(x: Tensor, weight: Tensor, bias: Tensor, given: Starts): Tensor {
  const gpu = expectTensors('conv1dMax', { x })
  expectTensors('conv1dMax', { weight, bias }, FLOAT32, { name: 'x', gpu })
  expectRank('conv1dMax', 'x', x, '[T, I]', 2)
  expectRank('conv1dMax', 'weight', weight, '[F, I, W]', 3)
  const [F, I] = weight.shape as [number, number, number]
  if (x.shape[1] !== I)
    throw new ShapeError(
      `conv1dMax: x has shape [${x.shape.join(', ')}], expected [T, ${I}]: weight has shape [${weight.shape.join(', ')}]`,
    )
  expectShape('conv1dMax: bias', bias, [F])
  const starts = knownStarts('conv1dMax', given)
  const begins = startsOn('conv1dMax', x, starts)
  return op(cast(x, 'f32'), weight, bias, begins, tensor(gpu, rowOfEach(starts)))
}
