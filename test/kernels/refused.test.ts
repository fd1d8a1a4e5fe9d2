// Launchers refuse what cannot be: WebGPU would read zeros behind a buffer's end, and drop what is written there.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kernels from '../../src/kernels/index.ts'
import { adamw } from '../../src/optim/rules/adamw.ts'
import { rowwiseAdagrad } from '../../src/optim/rules/rowwise-adagrad.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
/** A view of n values, exactly. */
const of = (n: number) => ({ buffer: gpu.from(new Float32Array(256)).buffer, offset: 0, size: n * 4 })
const B = 2
const starts = of(B + 1)
const attention = {
  B,
  Tq: 5,
  Tk: 4,
  A: 2,
  D: 3,
  index: of(6),
  q: of(30),
  k: of(24),
  v: of(24),
  out: of(30),
  lse: of(10),
}
const array = (n: number, shape = [n]) => ({ view: of(n), shape })
type Launch = (gpu: unknown, options: unknown) => void

/** A right call, and what is wrong with each that differs from it. */
const cases: Record<string, { right: object; wrong: [object, RegExp][] }> = {
  gather: {
    right: { x: of(30), indices: of(20), y: of(20), O: 2, R: 3, I: 5, K: 2 },
    wrong: [
      [{ x: of(29) }, /gather: x has 116 bytes, expected at least 120/],
      [{ indices: of(19) }, /indices has 76 bytes/],
      [{ y: of(19) }, /y has 76 bytes/],
      [{ K: 1.5 }, /gather: K is 1.5/],
      [{ x: [1, 2] }, /x is an array of 2, expected a view/],
    ],
  },
  gatherBackward: {
    right: { dy: of(20), indices: of(20), dx: of(30), O: 2, R: 3, I: 5, K: 2 },
    wrong: [
      [{ dy: of(19) }, /dy has 76 bytes/],
      [{ dx: of(29) }, /dx has 116 bytes/],
    ],
  },
  topK: {
    right: { x: of(30), indices: of(20), O: 2, R: 3, I: 5, k: 2 },
    wrong: [
      [{ x: of(29) }, /topK: x has 116 bytes/],
      [{ indices: of(19) }, /indices has 76 bytes/],
      [{ k: 4, indices: of(40) }, /k is 4, expected at most R, 3/],
    ],
  },
  segment: {
    right: { kind: 'sum', starts, x: of(15), y: of(6), B, I: 3 },
    wrong: [
      [{ kind: 'median' }, /segment: kind is 'median', expected 'sum'/],
      [{ starts: of(2) }, /starts has 8 bytes/],
      [{ y: of(5) }, /y has 20 bytes/],
      [{ B: -1 }, /segment: B is -1/],
    ],
  },
  segmentBackward: {
    right: { kind: 'sum', starts, x: of(15), y: of(6), dy: of(6), dx: of(15), B, I: 3 },
    wrong: [[{ dy: of(5) }, /dy has 20 bytes/]],
  },
  conv1dMax: {
    right: {
      x: of(15),
      weight: of(24),
      bias: of(4),
      cuSeqlens: starts,
      y: of(8),
      at: of(8),
      B,
      T: 5,
      I: 3,
      F: 4,
      W: 2,
    },
    wrong: [
      [{ x: of(14) }, /conv1dMax: x has 56 bytes/],
      [{ weight: of(23) }, /weight has 92 bytes/],
      [{ at: of(7) }, /at has 28 bytes/],
      [{ W: 1.5 }, /conv1dMax: W is 1.5/],
    ],
  },
  conv1dMaxBackward: {
    right: {
      x: of(15),
      weight: of(24),
      rowIds: of(5),
      at: of(8),
      dy: of(8),
      dx: of(15),
      B,
      T: 5,
      I: 3,
      F: 4,
      W: 2,
    },
    wrong: [
      [{ dx: of(14) }, /dx has 56 bytes/],
      [{ dweight: of(24) }, /dbias is undefined, expected a view/],
    ],
  },
  lstm: {
    right: {
      ...{ gatesIn: of(60), weight: of(36), bias: of(12), cuSeqlens: starts },
      ...{ h: of(15), gates: of(60), cell: of(15), before: of(15), B, T: 5, H: 3 },
    },
    wrong: [
      [{ gatesIn: of(59) }, /lstm: gatesIn has 236 bytes/],
      [{ before: of(14) }, /before has 56 bytes/],
      [{ H: -1 }, /lstm: H is -1/],
    ],
  },
  lstmBackward: {
    right: {
      ...{ weight: of(36), cuSeqlens: starts, gates: of(60), cell: of(15), dh: of(15) },
      ...{ dgates: of(60), carry: of(6), B, T: 5, H: 3 },
    },
    wrong: [[{ carry: of(5) }, /carry has 20 bytes/]],
  },
  segmentPairs: {
    right: {
      ...{ kind: 'swaps', starts, B, N: 5, longest: 3 },
      ...{ x: of(5), labels: of(5), values: of(5), y: of(5) },
    },
    wrong: [
      [{ kind: 'sum' }, /segmentPairs: kind is 'sum', expected 'count'/],
      [{ starts: of(2) }, /starts has 8 bytes/],
      [{ x: of(4) }, /x has 16 bytes/],
      [{ values: of(4) }, /values has 16 bytes/],
      [{ y: of(4) }, /y has 16 bytes/],
      [{ N: 1.5 }, /segmentPairs: N is 1.5/],
      [{ longest: -1 }, /longest is -1/],
    ],
  },
  segmentPairsBackward: {
    right: {
      ...{ kind: 'count', starts, B, N: 5, longest: 3 },
      ...{ x: of(5), labels: of(5), values: of(5), dy: of(5), dx: of(5) },
    },
    wrong: [
      [{ dy: of(4) }, /dy has 16 bytes/],
      [{ dx: of(4) }, /dx has 16 bytes/],
    ],
  },
  segmentDiscounts: {
    right: { starts, B, N: 5, longest: 3, k: 2, x: of(5), y: of(5) },
    wrong: [
      [{ k: 0 }, /segmentDiscounts: k is 0/],
      [{ y: of(4) }, /y has 16 bytes/],
    ],
  },
  axisReduce: {
    right: { kind: 'sum', x: of(30), shape: [5, 6], axes: [1], out: of(5) },
    wrong: [
      [{ x: of(29) }, /axisReduce: x has 116 bytes/],
      [{ out: of(4) }, /out has 16 bytes/],
      [{ axes: [2] }, /axis 2 is no dimension of shape \[5,6\]/],
      [{ kind: 'mean' }, /kind is 'mean'/],
    ],
  },
  strided: {
    right: {
      x: of(12),
      y: of(12),
      shape: [3, 4],
      from: { offset: 0, strides: [1, 3] },
      to: { offset: 0, strides: [4, 1] },
    },
    wrong: [
      [{ x: of(11) }, /strided: x has 44 bytes/],
      [{ to: { offset: 1, strides: [4, 1] } }, /y has 48 bytes, expected at least 52/],
      [{ from: { offset: 0, strides: [1] } }, /from has strides \[1\], expected one a dimension/],
      [{ from: { offset: -1, strides: [1, 3] } }, /from: offset is -1/],
    ],
  },
  bmm: {
    right: {
      a: of(24),
      b: of(20),
      c: of(30),
      M: 3,
      N: 5,
      K: 4,
      layout: 'NN',
      batches: [2],
      aBatches: [2],
      bBatches: [],
    },
    wrong: [
      [{ a: of(23) }, /bmm: a has 92 bytes/],
      [{ b: of(19) }, /b has 76 bytes/],
      [{ c: of(29) }, /c has 116 bytes/],
      [{ layout: 'TT' }, /layout is 'TT'/],
      [{ aBatches: [3], a: of(36) }, /dimension -1 is 3 and 2/],
    ],
  },
  pointwise: {
    right: { name: 'add', operands: [array(12, [3, 4]), array(4)], out: array(12, [3, 4]) },
    wrong: [
      [{ name: 'plus' }, /name is 'plus'/],
      [{ operands: [array(12, [3, 4])] }, /add takes 2 operands, got 1/],
      [{ operands: [array(12, [3, 4]), array(3)] }, /do not broadcast/],
      [{ out: array(4) }, /out has shape \[4\], expected the operands' common shape \[3,4\]/],
      [{ out: { view: of(11), shape: [3, 4] } }, /out has 44 bytes/],
      [{ operands: [{ view: of(11), shape: [3, 4] }, array(4)] }, /a has 44 bytes/],
    ],
  },
  crossAttention: {
    right: attention,
    wrong: [
      ...(['q', 'k', 'v', 'index', 'out', 'lse'] as const).map((name): [object, RegExp] => [
        { [name]: of(attention[name].size / 4 - 1) },
        new RegExp(`crossAttention: ${name} has `),
      ]),
      [{ masked: true }, /index has 24 bytes, expected at least 40/],
    ],
  },
  crossAttentionBackward: {
    right: { ...attention, dout: of(30), dq: of(30), dk: of(24) },
    wrong: [
      [{ dout: of(29) }, /dout has 116 bytes/],
      [{ dk: of(23) }, /dk has 92 bytes/],
    ],
  },
}

for (const [name, { right, wrong }] of Object.entries(cases)) {
  test(`${name} refuses views and sizes that cannot be, and launches nothing`, async () => {
    const launch = (kernels as unknown as Record<string, Launch>)[name]!
    const before = gpu.counts.launches
    for (const [change, message] of wrong) assert.throws(() => launch(gpu, { ...right, ...change }), message)
    assert.throws(() => launch(gpu, undefined), /options is undefined/)
    assert.throws(() => launch({}, right), /expected a device/)
    assert.is(gpu.counts.launches, before)
    launch(gpu, right)
    await gpu.done()
  })
}

const rule = { name: 'adamw', wgsl: adamw.wgsl, states: 2 }
const shared = { w: of(192), states: [of(192), of(192)], history: of(64), clip: of(1), groups: 1 }
const rows = { ...shared, entries: of(6), firstEntry: 1, n: 2, width: 3, group: 0, g: of(9) }
const optimizers: Record<string, { right: object; wrong: [object, RegExp][] }> = {
  optimizerDense: {
    right: { ...shared, g: of(192), slots: of(3), blocks: 3, step: 2 },
    wrong: [
      [{ w: of(191) }, /optimizerDense: w has 764 bytes, expected at least 768/],
      [{ g: of(191) }, /g has 764 bytes/],
      [{ slots: of(2) }, /slots has 8 bytes/],
      [{ states: [of(192)] }, /states is an array of 1, expected an array of 2, as adamw keeps/],
      [{ states: [of(192), of(100)] }, /states\[1\] has 400 bytes/],
      [{ history: of(2) }, /history has 8 bytes, expected at least 12/],
      [{ blocks: 1.5 }, /blocks is 1.5/],
    ],
  },
  optimizerRows: {
    right: { ...rows, until: 2 },
    wrong: [
      [{ entries: of(5) }, /optimizerRows: entries has 20 bytes, expected at least 24/],
      [{ g: of(8) }, /g has 32 bytes, expected at least 36/],
      [{ group: 1 }, /group is 1, expected one of 1, from 0/],
      [{ states: [of(192), of(191)] }, /states\[1\] has 764 bytes/],
      [{ width: -3 }, /width is -3/],
    ],
  },
  optimizerByRow: {
    right: { ...rows, states: [of(64)], step: 2 },
    wrong: [
      [{ states: [of(63)] }, /optimizerByRow: states\[0\] has 252 bytes, expected at least 256/],
      [{ lanes: 0 }, /lanes is 0/],
      [{ g: of(8) }, /g has 32 bytes/],
    ],
  },
}
for (const [name, { right, wrong }] of Object.entries(optimizers)) {
  test(`${name} refuses memory and settings that cannot be, and launches nothing`, async () => {
    const launch = (kernels as unknown as Record<string, (...all: unknown[]) => void>)[name]!
    const own = name === 'optimizerByRow' ? { name: 'adagrad', wgsl: rowwiseAdagrad.wgsl, states: 1 } : rule
    const before = gpu.counts.launches
    for (const [change, message] of wrong)
      assert.throws(() => launch(gpu, own, { ...right, ...change }), message)
    assert.throws(() => launch(gpu, own, undefined), /options is undefined/)
    assert.throws(() => launch(gpu, undefined, right), /rule is undefined, expected/)
    assert.throws(() => launch({}, own, right), /expected a device/)
    assert.is(gpu.counts.launches, before)
    launch(gpu, own, right)
    await gpu.done()
  })
}

test.after(() => gpu.close())
test.run()
