// One direction of one LSTM layer over packed rows. What the input gives is a matrix product over all tokens, and not of this.
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/lstm.ts'
import { expectSizes, expectView, given } from './checks.ts'

const params = { B: 'u32', H: 'u32', reverse: 'u32' } as const
const kernel = (entry: string, bindings: Access[]) =>
  defineKernel({ name: 'lstm', wgsl, entry, params, bindings })
const forward = kernel('forward', ['read', 'read', 'read', 'read', 'write', 'write', 'write', 'write'])
const backward = kernel('backward', ['read', 'read', 'read', 'read', 'read', 'write', 'write'])

/** Rows of T tokens, states of H numbers; with `reverse`, each row is read from its last token on. */
interface Sizes {
  B: number
  T: number
  H: number
  reverse?: boolean
}

/**
 * h [T, H], the state behind each token of packed rows, by cuSeqlens [B + 1]. gatesIn [T, 4 H] is what the input gives, with its bias, in
 * the order i, f, g, o; weight [4 H, H] and bias [4 H] are the state's. Every row starts from zeros. Writes also what the backward pass
 * reads: gates [T, 4 H], cell [T, H], and before [T, H], the state in front of each token. Source: `torch.nn.LSTM`.
 */
export function lstm(
  gpu: Gpu,
  options: Sizes & {
    gatesIn: View
    weight: View
    bias: View
    cuSeqlens: View
    h: View
    gates: View
    cell: View
    before: View
  },
): void {
  const { gatesIn, weight, bias, cuSeqlens, h, gates, cell, before, B, T, H, reverse } = given(
    'lstm',
    gpu,
    options,
  )
  expectSizes('lstm', { B, T, H })
  for (const [name, view] of Object.entries({ gatesIn, gates })) expectView('lstm', name, view, 4 * T * H)
  for (const [name, view] of Object.entries({ h, cell, before })) expectView('lstm', name, view, T * H)
  expectView('lstm', 'weight', weight, 4 * H * H)
  expectView('lstm', 'bias', bias, 4 * H)
  expectView('lstm', 'cuSeqlens', cuSeqlens, B + 1)
  if (T * H === 0) return
  const views = [cuSeqlens, gatesIn, weight, bias, h, gates, cell, before]
  gpu.launch(forward, { B, H, reverse: Number(reverse ?? false) }, views, B, 4 * T * H * H)
}

/**
 * dgates [T, 4 H] = the gradient of what enters the gates, of dh [T, H] and what `lstm` wrote: that of gatesIn as it is, whose sum over
 * tokens is the bias's and whose product with `before` the weight's. Overwrites dgates and carry [B, H], which is scratch.
 */
export function lstmBackward(
  gpu: Gpu,
  options: Sizes & {
    weight: View
    cuSeqlens: View
    gates: View
    cell: View
    dh: View
    dgates: View
    carry: View
  },
): void {
  const op = 'lstmBackward'
  const { weight, cuSeqlens, gates, cell, dh, dgates, carry, B, T, H, reverse } = given(op, gpu, options)
  expectSizes(op, { B, T, H })
  for (const [name, view] of Object.entries({ gates, dgates })) expectView(op, name, view, 4 * T * H)
  for (const [name, view] of Object.entries({ cell, dh })) expectView(op, name, view, T * H)
  expectView(op, 'weight', weight, 4 * H * H)
  expectView(op, 'carry', carry, B * H)
  expectView(op, 'cuSeqlens', cuSeqlens, B + 1)
  if (T * H === 0) return
  const views = [cuSeqlens, gates, weight, cell, dh, dgates, carry]
  gpu.launch(backward, { B, H, reverse: Number(reverse ?? false) }, views, B, 4 * T * H * H)
}
