// What JavaScript can hand to a launcher: each option in turn is nonsense, and every call ends in an error of the library's that names
// the launcher, with nothing launched.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KernelgradError } from '../../src/errors.ts'
import * as kernels from '../../src/kernels/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())

/** A view of n values, exactly. */
const of = (n: number) => ({ ...gpu.from(new Float32Array(Math.max(n, 1))), size: n * 4 })
const rng = { seed: 1, layer: 2, step: 3 }
const [rows, H, B, T, C, n] = [3, 8, 2, 5, 4, 12]

const slice = { z: of(rows * C), first: 0, C, bias: of(C), labels: of(rows), rows, V: C }
const packed = {
  longest: 4,
  qkv: of(T * 3 * 4),
  keyMask: of(T),
  cuSeqlens: of(B + 1),
  T,
  A: 2,
  D: 2,
  lse: of(T * 2),
}
const layer = { x: of(rows * H), weight: of(H), mean: of(rows), rstd: of(rows), rows, H }
/** Options that each launcher takes. */
const right: Record<string, Record<string, unknown>> = {
  add: { a: of(n), b: of(n), out: of(n), n, storage: 'f32' },
  addInto: { x: of(n), into: of(n), n, storage: 'f32' },
  scale: { x: of(n), y: of(n), factor: 2, n, storage: 'f32' },
  scaleBy: { x: of(n), y: of(n), factor: of(1), n, storage: 'f32' },
  fill: { out: of(n), value: 2, n },
  embedding: {
    table: [{ view: of(5 * H), firstRow: 0, rows: 5 }],
    ids: of(rows),
    out: of(rows * H),
    n: rows,
    H,
    storage: 'f32',
  },
  embeddingBackward: {
    dy: of(rows * H),
    offsets: of(3),
    positions: of(rows),
    grad: of(2 * H),
    U: 2,
    H,
    accumulate: false,
    storage: 'f32',
  },
  scatterAddRows: { source: of(rows * H), map: of(rows), target: of(5 * H), n: rows, H },
  meanPool: {
    x: of(T * H),
    keyMask: of(T),
    cuSeqlens: of(B + 1),
    out: of(B * H),
    counts: of(B),
    B,
    H,
    outWidth: H,
    outColumn: 0,
    storage: 'f32',
  },
  meanPoolBackward: {
    dy: of(B * H),
    keyMask: of(T),
    rowIds: of(T),
    counts: of(B),
    dx: of(T * H),
    T,
    H,
    dyWidth: H,
    dyColumn: 0,
    storage: 'f32',
  },
  firstToken: { x: of(T * H), cuSeqlens: of(B + 1), out: of(B * H), B, H, storage: 'f32' },
  firstTokenBackward: {
    dy: of(B * H),
    cuSeqlens: of(B + 1),
    rowIds: of(T),
    dx: of(T * H),
    T,
    H,
    storage: 'f32',
  },
  crossEntropy: {
    logits: of(rows * C),
    labels: of(rows),
    losses: of(rows),
    probs: of(rows * C),
    loss: of(1),
    rows,
    C,
  },
  crossEntropyBackward: {
    probs: of(rows * C),
    labels: of(rows),
    dloss: of(1),
    dlogits: of(rows * C),
    rows,
    C,
  },
  foldLogits: { ...slice, stats: of(kernels.sliceStats(rows, 1)), own: of(rows), slice: 0, slices: 1 },
  finishSlices: {
    stats: of(kernels.sliceStats(rows, 1)),
    own: of(rows),
    losses: of(rows),
    tops: of(rows * 2),
    right: of(rows),
    rows,
    slices: 1,
  },
  sliceGradient: { ...slice, tops: of(rows * 2), dlosses: of(rows) },
  softmax: { x: of(rows * C), y: of(rows * C), rows, C },
  softmaxBackward: { y: of(rows * C), dy: of(rows * C), dx: of(rows * C), rows, C },
  logSoftmax: { x: of(rows * C), y: of(rows * C), rows, C },
  logSoftmaxBackward: { y: of(rows * C), dy: of(rows * C), dx: of(rows * C), rows, C },
  sum: { x: of(n), out: of(1), n, factor: 2 },
  columnSum: { x: of(rows * C), out: of(C), rows, C, accumulate: false, storage: 'f32' },
  gradNorm: { parts: [{ view: of(n), n }], maxNorm: 1, norm: of(1), coefficient: of(1) },
  dropout: { x: of(n), y: of(n), p: 0.5, rng, n, storage: 'f32' },
  dropoutBackward: { dy: of(n), dx: of(n), p: 0.5, rng, n, storage: 'f32' },
  gelu: { x: of(n), y: of(n), n, storage: 'f32' },
  geluBackward: { x: of(n), dy: of(n), dx: of(n), n, storage: 'f32' },
  relu: { x: of(n), y: of(n), n, storage: 'f32' },
  reluBackward: { y: of(n), dy: of(n), dx: of(n), n, storage: 'f32' },
  cast: { x: of(n), y: of(n), n, to: 'f16' },
  castBlocks: { x: of(128), places: of(2), y: of(64), n: 2 },
  copyColumns: {
    source: of(rows * 4),
    sourceWidth: 4,
    sourceColumn: 0,
    target: of(rows * 8),
    targetWidth: 8,
    targetColumn: 4,
    width: 4,
    rows,
  },
  joinColumns: {
    parts: [{ view: of(rows * 4), width: 4, column: 0 }],
    target: of(rows * 4),
    targetWidth: 4,
    rows,
  },
  splitColumns: {
    parts: [{ view: of(rows * 4), width: 4, column: 0 }],
    source: of(rows * 4),
    sourceWidth: 4,
    rows,
  },
  uniformFill: { out: of(n), n, seed: 1, stream: 2, offset: 0, low: 0, high: 1 },
  normalFill: { out: of(n), n, seed: 1, stream: 2, offset: 0, mean: 0, std: 1 },
  transpose: { x: of(32), y: of(32), R: 4, C: 8 },
  attention: { ...packed, out: of(T * 4), p: 0.5, rng },
  attentionBackward: { ...packed, out: of(T * 4), dout: of(T * 4), dqkv: of(T * 12), p: 0.5, rng },
  layerNorm: { ...layer, bias: of(H), y: of(rows * H), eps: 1e-5, storage: 'f32' },
  layerNormBackward: {
    ...layer,
    dy: of(rows * H),
    dx: of(rows * H),
    dweight: of(H),
    dbias: of(H),
    form: 'rows',
    accumulate: false,
    storage: 'f32',
  },
  joinLookups: {
    parts: [{ table: [{ view: of(20), firstRow: 0, rows: 5 }], ids: 0, width: 4, column: 0 }],
    index: of(rows),
    target: of(rows * H),
    targetWidth: H,
    rows,
  },
  lookupGradients: {
    parts: [{ offsets: 0, positions: 3, grad: of(8), U: 2, width: 4, column: 0 }],
    index: of(6),
    dy: of(rows * H),
    dyWidth: H,
    storage: 'f32',
  },
  matmul: {
    form: '1x4',
    stored: { a: 'f32' },
    a: of(6),
    b: of(12),
    c: of(8),
    M: 2,
    N: 4,
    K: 3,
    layout: 'NN',
    activation: 'none',
    accumulate: false,
    bias: of(4),
    splits: 1,
  },
}

const NO_BUFFER = { buffer: {}, offset: 0, size: 4000 }
const NONSENSE: unknown[] = [
  undefined,
  null,
  Number.NaN,
  -1,
  2.5,
  1e12,
  Infinity,
  'x',
  '3',
  true,
  10n,
  {},
  [],
  [1],
  new Float32Array(1000),
  NO_BUFFER,
  () => {},
  Promise.resolve(),
]
/** What else some options take: they may be left out, or are any number. */
const OPTIONAL =
  /^(storage|accumulate|outWidth|outColumn|dyWidth|dyColumn|offset|factor|dweight|dbias|activation|bias|splits|p|rng|form|stored|longest)$/
const NUMBERS: Record<string, (x: number) => boolean> = {
  factor: Number.isFinite,
  value: x => typeof x === 'number',
  low: Number.isFinite,
  high: Number.isFinite,
  mean: Number.isFinite,
  std: x => x >= 0 && x < Infinity,
  eps: x => x >= 0 && x < Infinity,
  maxNorm: x => !Number.isNaN(x),
  offset: x => Number.isSafeInteger(x) && x >= 0,
}
const fine = (name: string, key: string, x: unknown) =>
  (x === undefined && OPTIONAL.test(key)) ||
  (key === 'accumulate' && x === true) ||
  (typeof x === 'number' && !(name === 'scaleBy' && key === 'factor') && NUMBERS[key]?.(x)) ||
  // Operands of float32 need no naming.
  (key === 'stored' &&
    typeof x === 'object' &&
    x !== null &&
    !Object.keys(x).length &&
    !Array.isArray(x) &&
    !(x instanceof Promise)) ||
  (key === 'parts' && Array.isArray(x) && !x.length)

const launchers = kernels as unknown as Record<string, (gpu: unknown, options: unknown) => void>
for (const [name, options] of Object.entries(right))
  test(`${name} refuses nonsense for every option`, async () => {
    const launch = launchers[name]!
    launch(gpu, options)
    await gpu.done()
    const missed: string[] = []
    for (const key of Object.keys(options))
      for (const nonsense of NONSENSE) {
        if (fine(name, key, nonsense)) continue
        const { launches } = gpu.counts
        let fault: unknown = 'nothing'
        try {
          launch(gpu, { ...options, [key]: nonsense })
        } catch (error) {
          fault = error
        }
        // Some things only the launch itself looks at, and it knows the kernel's name.
        const said = fault instanceof KernelgradError ? fault.message : ''
        const named =
          said.includes(name.replace('Backward', '')) || /^(kernel \w+[,:]|dropout probability is)/.test(said)
        // That a view's buffer is none is noticed by the launch that binds it, which may be the second of two.
        if (named && (nonsense === NO_BUFFER || gpu.counts.launches === launches)) continue
        missed.push(
          `${key} = ${typeof nonsense === 'object' ? Object.prototype.toString.call(nonsense) : String(nonsense)}: ${fault}`,
        )
      }
    assert.equal(missed, [])
  })

for (const [name, options] of Object.entries(right))
  test(`${name} refuses names that are none of its options`, () => {
    const { launches } = gpu.counts
    for (const key of Object.keys(options)) {
      const misspelt = key.length > 1 ? key.slice(0, -1) : `${key}${key}`
      if (misspelt in options) continue
      assert.throws(
        () => launchers[name]!(gpu, { ...options, [misspelt]: options[key] }),
        (error: Error) =>
          error instanceof KernelgradError && error.message.startsWith(`${name}: '${misspelt}' is unknown; `),
      )
    }
    assert.is(gpu.counts.launches, launches)
  })

test('what a part of several is nonsense in, is named by its place', () => {
  for (const name of ['joinLookups', 'lookupGradients']) {
    const { parts } = right[name] as { parts: [Record<string, unknown>] }
    for (const key of Object.keys(parts[0]))
      for (const nonsense of NONSENSE) {
        if (nonsense === undefined && key === 'ids') continue
        const given = { ...right[name], parts: [{ ...parts[0], [key]: nonsense }] }
        const what = `${name}, ${key} = ${typeof nonsense}`
        try {
          launchers[name]!(gpu, given)
          assert.unreachable(what)
        } catch (error) {
          assert.instance(error, KernelgradError, `${what} ended in ${error}`)
        }
      }
  }
})

const CALLS: [name: string, call: (x: never) => unknown, fine: (x: unknown) => boolean][] = [
  ['candidates', x => kernels.candidates(gpu, x), () => false],
  ['collectShapes', x => kernels.collectShapes(gpu, x), x => typeof x === 'function'],
  ['tuneMatmul', x => kernels.tuneMatmul(gpu, x), x => Array.isArray(x) && !x.length],
  ['setChoices', x => kernels.setChoices(gpu, x), x => isPlain(x) && !('buffer' in (x as object))],
  ['storeChoices', x => kernels.storeChoices(gpu, x), x => isPlain(x) && !('buffer' in (x as object))],
]
const isPlain = (x: unknown) =>
  typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype
for (const [name, call, fine] of CALLS)
  test(`${name} refuses nonsense`, async () => {
    for (const nonsense of NONSENSE) {
      if (fine(nonsense)) continue
      let fault: unknown = 'nothing'
      try {
        await call(nonsense as never)
      } catch (error) {
        fault = error
      }
      assert.instance(fault, KernelgradError, `${name}(${typeof nonsense}) ended in ${fault}`)
    }
  })

test.run()
