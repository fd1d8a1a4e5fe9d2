// What reads the words of packed texts: windows with a maximum over each text, and LSTMs.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sum, tensor } from '../../src/autograd/index.ts'
import { nn } from '../../src/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const starts = Uint32Array.of(0, 4, 4, 5, 11)

test('an LSTM of two layers and two directions is its layers one on the other, and empty texts end in zeros', async () => {
  const [I, H, T] = [6, 5, 11]
  const model = new nn.LSTM(I, H, { numLayers: 2, bidirectional: true }).to(gpu, { seed: 3 })
  const names = [...model.namedParameters()].map(([name, { shape }]) => `${name} ${shape.join('x')}`)
  assert.equal(names.slice(0, 5), [
    'weight_ih_l0 20x6',
    'weight_hh_l0 20x5',
    'bias_ih_l0 20',
    'bias_hh_l0 20',
    'weight_ih_l0_reverse 20x6',
  ])
  assert.is(names.at(-1), 'bias_hh_l1_reverse 20')
  assert.is(names[8], 'weight_ih_l1 20x10')
  const values: Record<string, ArrayLike<number>> = {}
  for (const [name, { data: own }] of await model.stateDict()) values[name] = own as ArrayLike<number>
  const x = seeded(T * I, 1)
  let layer: Float64Array = Float64Array.from(x)
  for (const l of ['l0', 'l1']) {
    const sides = ['', '_reverse'].map(direction => {
      const of = (name: string) => values[`${name}_${l}${direction}`]!
      const width = layer.length / T
      const gatesIn = reference.matmul({
        a: layer,
        b: of('weight_ih'),
        bias: of('bias_ih'),
        ...{ M: T, N: 4 * H, K: width, layout: 'NT' as const },
      })
      const reverse = direction !== ''
      const cuSeqlens = starts
      return reference.lstm({ gatesIn, weight: of('weight_hh'), bias: of('bias_hh'), cuSeqlens, H, reverse })
        .h
    })
    layer = reference.concat({ parts: sides.map(side => ({ x: side, width: H })), rows: T })
  }
  const { output, last } = model.forward(tensor(gpu, x, [T, I]), starts)
  const [states, ends] = [await output.keep().read(), await last.keep().read()]
  expectClose(states, layer, 4e-6)
  const expected = [0, 1, 2, 3].flatMap(b => {
    const [first, end] = [starts[b]!, starts[b + 1]!]
    if (first === end) return Array<number>(2 * H).fill(0)
    const forth = layer.subarray((end - 1) * 2 * H, (end - 1) * 2 * H + H)
    return [...forth, ...layer.subarray(first * 2 * H + H, first * 2 * H + 2 * H)]
  })
  expectClose(ends, Float64Array.from(expected), 4e-6)
  model.free()
})

test('forget gates start from their bias, the others from 0', async () => {
  const model = new nn.LSTM(2, 3, { forgetBias: 1.5 }).to(gpu, { seed: 3 })
  const state = await model.stateDict()
  assert.equal(
    [...(state.get('bias_ih_l0')!.data as Float32Array)],
    [0, 0, 0, 1.5, 1.5, 1.5, 0, 0, 0, 0, 0, 0],
  )
  assert.equal([...(state.get('bias_hh_l0')!.data as Float32Array)], Array(12).fill(0))
  model.free()
})

test('texts without a word give zeros', async () => {
  const none = tensor(gpu, new Float32Array(0), [0, 2])
  const model = new nn.LSTM(2, 3, { bidirectional: true }).to(gpu)
  assert.equal([...(await model.forward(none, Uint32Array.of(0, 0, 0)).last.read())], Array(12).fill(0))
  model.free()
  const windows = new nn.Conv1dMax(2, 3, 2).to(gpu)
  const y = windows.forward(none, Uint32Array.of(0, 0, 0))
  assert.equal([...(await y.keep().read())], Array(6).fill(0))
  sum(y).backward()
  assert.equal([...(await windows.weight.readGrad())], Array(12).fill(0))
  windows.free()
})

test('what cannot be is refused', () => {
  for (const [make, message] of [
    [() => new nn.LSTM(0, 3), /LSTM: inputSize is 0, expected/],
    [() => new nn.LSTM(3, 2.5), /LSTM: hiddenSize is 2.5/],
    [() => new nn.LSTM(3, 2, { numLayers: -1 }), /LSTM: numLayers is -1/],
    [() => new nn.LSTM(3, 2, { bidirectional: 'yes' as never }), /LSTM: bidirectional is 'yes'/],
    [() => new nn.LSTM(3, 2, { layers: 2 } as never), /unknown option 'layers'|layers/],
    [() => new nn.LSTM(3, 2, { forgetBias: Number.NaN }), /LSTM: forgetBias is NaN/],
    [() => new nn.Conv1dMax(3, 4, 0), /Conv1dMax: kernelSize is 0/],
    [() => new nn.Conv1dMax(3, undefined as never, 2), /Conv1dMax: outChannels is undefined/],
  ] as [() => unknown, RegExp][])
    assert.throws(make, message)
  const windows = new nn.Conv1dMax(3, 4, 2).to(gpu)
  const lstm = new nn.LSTM(3, 4).to(gpu)
  const x = tensor(gpu, new Float32Array(15), [5, 3])
  for (const module of [windows, lstm])
    for (const [given, message] of [
      [Uint32Array.of(0, 4), /starts ends at 4, expected 5/],
      [Uint32Array.of(1, 5), /starts\[0\] is 1, expected 0/],
      [Uint32Array.of(0, 4, 2, 5), /starts\[2\] is 2 and the one before 4/],
      [[0, 5], /starts is an array of 2, expected/],
    ] as [Uint32Array, RegExp][])
      assert.throws(() => module.forward(x, given), message)
  assert.throws(
    () => windows.forward(tensor(gpu, new Float32Array(10), [5, 2]), Uint32Array.of(0, 5)),
    /conv1dMax: x has shape \[5, 2\], expected \[T, 3\]/,
  )
  windows.free()
  lstm.free()
})

test.after(() => gpu.close())
test.run()
