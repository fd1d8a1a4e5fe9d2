import { expectFlag, expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { lstmBackward, lstm as lstmKernel } from '../../kernels/lstm.ts'
import { matmul } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { expectRank, expectTensors, FLOAT32 } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { empty, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { knownStarts, type Starts, startsOn } from './segments.ts'
import { expectShape } from './shapes.ts'

const op = defineOp({
  name: 'lstm',
  inputs: ['gatesIn', 'weight', 'bias', 'starts'],
  dtypes: { gatesIn: ['f32'], weight: ['f32'], bias: ['f32'], starts: ['u32'] },
  shape: ({ gatesIn, weight }, _: { reverse: boolean }) => [gatesIn.shape[0]!, weight.shape[1]!],
  saved: ({ gatesIn, weight }) => {
    const states = [gatesIn.shape[0]!, weight.shape[1]!]
    return { gates: gatesIn.shape, cell: states, before: states }
  },
  forward({ gpu, gatesIn, weight, bias, starts, gates, cell, before, out }, { reverse }) {
    const [T, H] = out.shape as [number, number]
    const read = { gatesIn: gatesIn.view, weight: weight.view, bias: bias.view, cuSeqlens: starts.view }
    const written = { h: out.view, gates: gates.view, cell: cell.view, before: before.view }
    lstmKernel(gpu, { ...read, ...written, B: starts.size - 1, T, H, reverse })
  },
  backward(context, { reverse }) {
    const { gpu, weight, starts, gates, cell, before, dout, dgatesIn, needsInputGrad, into } = context
    const [T, H] = dout.shape as [number, number]
    const B = starts.size - 1
    const carry = empty(gpu, [Math.max(B, 1), H])
    const read = { weight: weight.view, cuSeqlens: starts.view, gates: gates.view, cell: cell.view }
    const written = { dgates: dgatesIn.view, carry: carry.view }
    lstmBackward(gpu, { ...read, ...written, dh: dout.view, B, T, H, reverse })
    carry.dispose()
    if (needsInputGrad.weight) {
      const { view, accumulate } = into.weight
      const sizes = { M: 4 * H, N: H, K: T, layout: 'TN' } as const
      matmul(gpu, { a: dgatesIn.view, b: before.view, c: view, ...sizes, accumulate })
    }
    if (needsInputGrad.bias) {
      const { view, accumulate } = into.bias
      columnSum(gpu, { x: dgatesIn.view, out: view, rows: T, C: 4 * H, accumulate })
    }
  },
})

/** How a direction of an LSTM reads its rows. */
export interface LstmOptions {
  /** Each row from its last token on. */
  reverse?: boolean
}

/**
 * One direction of one LSTM layer over packed rows, each from a state of zeros: the state behind each token, [T, H] float32. gatesIn [T, 4 H] is
 * what the input gives, its bias in it, as `linear` makes it; weight [4 H, H] and bias [4 H] are the state's; the gates lie in PyTorch's order i, f, g, o.
 * Row b is the tokens starts[b] to starts[b + 1] - 1. `nn.LSTM` is made of it. Source: `torch.nn.LSTM`.
 *
 * @param given starts, [B + 1]: values that the host knows.
 */
export function lstm(
  gatesIn: Tensor,
  weight: Tensor,
  bias: Tensor,
  given: Starts,
  options: LstmOptions = {},
): Tensor {
  const gpu = expectTensors('lstm', { gatesIn })
  expectTensors('lstm', { weight, bias }, FLOAT32, { name: 'gatesIn', gpu })
  expectOptions('lstm: options', options, ['reverse'])
  const { reverse = false } = options
  expectFlag('lstm: reverse', reverse)
  expectRank('lstm', 'gatesIn', gatesIn, '[T, 4 H]', 2)
  expectRank('lstm', 'weight', weight, '[4 H, H]', 2)
  const [rows, H] = weight.shape as [number, number]
  if (rows !== 4 * H)
    throw new ShapeError(`lstm: weight has shape [${rows}, ${H}], expected [${4 * H}, ${H}], four gates`)
  if (gatesIn.shape[1] !== 4 * H)
    throw new ShapeError(
      `lstm: gatesIn has shape [${gatesIn.shape.join(', ')}], expected [T, ${4 * H}]: weight has shape [${rows}, ${H}]`,
    )
  expectShape('lstm: bias', bias, [4 * H])
  const starts = knownStarts('lstm', given)
  return op(cast(gatesIn, 'f32'), weight, bias, startsOn('lstm', gatesIn, starts), { reverse })
}
