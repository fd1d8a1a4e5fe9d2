// Every row of the table of element-wise functions against its float64 formula: values, shapes, infinities and NaN.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type PointwiseOperand, pointwise, pointwiseBackward } from '../../src/kernels/pointwise.ts'
import { broadcastShapes } from '../../src/kernels/strides.ts'
import { BINARY, type PointwiseName, pointwiseRow, TERNARY, UNARY } from '../../src/pointwise.ts'
import * as reference from '../../src/reference/index.ts'
import { HALF_ROUNDING, packHalves, unpackHalves } from '../../src/testing/half.ts'
import { expectClose, guarded, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const names = [...Object.keys(UNARY), ...Object.keys(BINARY), ...Object.keys(TERNARY)] as PointwiseName[]
const numel = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Where a function has a value: logarithms and roots above 0. */
const RANGES: Partial<Record<PointwiseName, [low: number, high: number]>> = {
  log: [1e-3, 3],
  log1p: [-0.9, 3],
  sqrt: [1e-3, 3],
  rsqrt: [1e-2, 3],
  reciprocal: [0.1, 3],
  pow: [0.1, 3],
  klDiv: [0.05, 1],
}
const numbers = { p: -0.7, q: 1.2 }

interface Given {
  data: Float32Array<ArrayBuffer>
  shape: readonly number[]
}

function inputs(name: PointwiseName, shapes: readonly (readonly number[])[]): Given[] {
  const [low, high] = RANGES[name] ?? [-3, 3]
  return shapes.map((shape, i) => {
    const data = uniform(numel(shape), shape.length + i + 1, { low, high })
    // Equal values, which comparisons, where and maximum treat on their own.
    if (name === 'where' && i === 0) for (let j = 0; j < data.length; j += 3) data[j] = 0
    if (i === 1) for (let j = 0; j < data.length; j += 5) data[j] = name === 'div' || name === 'pow' ? 1 : 0
    return { data, shape }
  })
}

async function check(name: PointwiseName, given: readonly (Given | number)[]): Promise<void> {
  const shape = broadcastShapes(
    name,
    given.map(one => (typeof one === 'number' ? [] : one.shape)),
  )
  const operands: PointwiseOperand[] = given.map(one =>
    typeof one === 'number' ? one : { view: gpu.from(one.data), shape: one.shape },
  )
  const out = guarded(gpu, numel(shape))
  pointwise(gpu, { name, operands, out: { view: out.view, shape }, ...numbers })
  const expected = reference.pointwise(name, given, { shape, ...numbers })
  expectClose(await gpu.readFloats(out.view), expected, 2e-6, { label: name, shape })
  await out.checkNeighbours()
}

test('every function agrees with its formula, on odd and even sizes', async () => {
  // All launches first, so that the kernels compile side by side.
  await Promise.all(
    names.flatMap(name =>
      [[1], [7], [3, 5], [2, 4, 6], [4099], [8200]].map(shape =>
        check(name, inputs(name, new Array(pointwiseRow(name).operands).fill(shape))),
      ),
    ),
  )
})

const BROADCASTS: [a: number[], b: number[]][] = [
  [[3, 5], [5]],
  [
    [3, 5],
    [3, 1],
  ],
  [[6, 8], [8]],
  [
    [6, 8],
    [6, 1],
  ],
  [[], [2, 3]],
  [[1], [4, 4]],
  [
    [3, 1],
    [1, 5],
  ],
  [
    [8, 1],
    [1, 8],
  ],
  [
    [2, 1, 3, 4],
    [5, 1, 4],
  ],
  [
    [2, 1, 3, 1, 2, 4],
    [1, 3, 1, 2, 1, 4],
  ],
  [
    [2, 3, 1, 5],
    [1, 3, 7, 1],
  ],
  [[0, 4], [4]],
  [
    [3, 1],
    [3, 0],
  ],
  [[37, 772], [772]],
  [
    [37, 772],
    [37, 1],
  ],
]

test('operands of two shapes are broadcast, in either order', async () => {
  await Promise.all(
    BROADCASTS.flatMap(shapes => [
      check('sub', inputs('sub', shapes)),
      check('sub', inputs('sub', shapes.toReversed())),
    ]),
  )
})

test('three operands of three shapes', async () => {
  for (const shapes of [
    [[4, 1], [4], [1, 1]],
    [[1, 3, 1], [2, 1, 1], [5]],
    [[], [3, 8], [8]],
  ])
    await check('where', inputs('where', shapes))
})

test('a number takes any place', async () => {
  const [x] = inputs('sub', [[5, 12]])
  await check('sub', [2.5, x!])
  await check('sub', [x!, -0.1])
  await check('where', [x!, 1, 2])
  await check('lt', [x!, 0])
  await check('pow', [2, x!])
})

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  2,
  3,
  -3,
  1e-8,
  -1e-8,
  1.0000001,
  0.9999999,
  1e-30,
  1e30,
  1e4,
  -1e4,
  88.5,
  -100,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
].map(Math.fround)

/** Every element by itself: within a relative error, or of what float32 can hold the same infinity, zero or NaN. */
function sameValues(actual: ArrayLike<number>, expected: ArrayLike<number>, say: (i: number) => string) {
  for (let i = 0; i < expected.length; i++) {
    const [got, want] = [actual[i]!, Math.fround(expected[i]!)]
    const close =
      Object.is(got, want) ||
      got === want ||
      Math.abs(got - expected[i]!) <= 2e-6 * Math.abs(expected[i]!) + 1e-37 ||
      (Number.isFinite(expected[i]!) && Math.abs(expected[i]!) > 3.4e38 && !Number.isFinite(got))
    assert.ok(close, `${say(i)}: got ${got}, expected ${want}`)
  }
}

test('numbers may be infinite: bounds that bind nothing, and operands', async () => {
  const { POSITIVE_INFINITY: up, NEGATIVE_INFINITY: down } = Number
  const x = Float32Array.of(-1, 0, 2, 3.4e38, up, down, 5)
  const n = x.length
  const a = { view: gpu.from(x), shape: [n] }
  const out = { view: gpu.acquire(n * 4), shape: [n] }
  const got = async () => [...(await gpu.readFloats({ ...out.view, size: n * 4 }))]
  for (const [p, q] of [
    [down, up],
    [down, 1],
    [0, up],
  ] as const) {
    pointwise(gpu, { name: 'clamp', operands: [a], out, p, q })
    assert.equal(
      await got(),
      [...x].map(v => Math.min(Math.max(v, p), q)),
    )
  }
  for (const number of [up, down]) {
    pointwise(gpu, { name: 'maximum', operands: [a, number], out })
    assert.equal(
      await got(),
      [...x].map(v => Math.max(v, number)),
    )
    pointwise(gpu, { name: 'lt', operands: [a, number], out })
    assert.equal(
      await got(),
      [...x].map(v => Number(v < number)),
    )
  }
  for (const bad of [Number.NaN, -1e39])
    assert.throws(
      () => pointwise(gpu, { name: 'add', operands: [a, bad], out }),
      /add: a number is .*, expected a number that float32 holds/,
    )
})

test('zeros, infinities, NaN and what lies near 1 come out as PyTorch has them', async () => {
  for (const padding of [0, 1]) {
    const size = 4 * Math.ceil(SPECIAL.length / 4) + padding
    const x = Float32Array.from({ length: size }, (_, i) => SPECIAL[i] ?? 1)
    const [view, shape] = [gpu.from(x), [size]]
    await Promise.all(
      (Object.keys(UNARY) as PointwiseName[]).map(async name => {
        const out = guarded(gpu, size)
        pointwise(gpu, { name, operands: [{ view, shape }], out: { view: out.view, shape }, ...numbers })
        const expected = reference.pointwise(name, [{ data: x, shape }], { shape, ...numbers })
        sameValues(await gpu.readFloats(out.view), expected, i => `${name}(${x[i]})`)
      }),
    )
  }
})

test('pairs of zeros, infinities and NaN come out as PyTorch has them', async () => {
  const n = SPECIAL.length
  for (const name of Object.keys(BINARY) as PointwiseName[]) {
    const [a, b] = [
      Float32Array.from({ length: n * n }, (_, i) => SPECIAL[Math.floor(i / n)]!),
      Float32Array.from({ length: n * n }, (_, i) => SPECIAL[i % n]!),
    ]
    const shape = [n * n]
    const out = guarded(gpu, n * n)
    const operands = [a, b].map(data => ({ view: gpu.from(data), shape }))
    pointwise(gpu, { name, operands, out: { view: out.view, shape } })
    const given = [a, b].map(data => ({ data, shape }))
    // Differences of large near-equal terms are no matter of special values.
    if (name === 'klDiv' || name === 'klDivLog' || name === 'klDivExcess' || name === 'bceWithLogits')
      continue
    const expected = reference.pointwise(name, given, { shape })
    sameValues(await gpu.readFloats(out.view), expected, i => `${name}(${a[i]}, ${b[i]})`)
  }
})

test('halves: every function of them, and float32 and halves side by side', async () => {
  const shape = [6, 8]
  const n = 48
  await Promise.all(
    names.map(async name => {
      const given = inputs(name, new Array(pointwiseRow(name).operands).fill(shape))
      const words = given.map(({ data }) => packHalves(data))
      const rounded = words.map(half => ({ data: unpackHalves(half), shape }))
      // The last operand stays float32.
      const mixed = given.length > 1 ? given.length - 1 : -1
      const operands = given.map(({ data }, i) =>
        i === mixed
          ? { view: gpu.from(data), shape }
          : { view: gpu.from(words[i]!), shape, storage: 'f16' as const },
      )
      const out = guarded(gpu, n / 2)
      pointwise(gpu, { name, operands, out: { view: out.view, shape, storage: 'f16' }, ...numbers })
      const values = given.map((one, i) => (i === mixed ? one : rounded[i]!))
      const expected = reference.pointwise(name, values, { shape, ...numbers })
      const found = unpackHalves(await gpu.readUints(out.view))
      expectClose(found, expected, HALF_ROUNDING + 2e-6, { label: name, shape })
      await out.checkNeighbours()
    }),
  )
})

test('halves beside a row of halves and a column of float32, and a result of float32', async () => {
  const shape = [5, 12]
  const [x, row, column] = [uniform(60, 1), uniform(12, 2), uniform(5, 3)]
  const [xWords, rowWords] = [packHalves(x), packHalves(row)]
  const out = guarded(gpu, 60)
  pointwise(gpu, {
    name: 'where',
    operands: [
      { view: gpu.from(column), shape: [5, 1] },
      { view: gpu.from(xWords), shape, storage: 'f16' },
      { view: gpu.from(rowWords), shape: [12], storage: 'f16' },
    ],
    out: { view: out.view, shape },
  })
  const given = [
    { data: column, shape: [5, 1] },
    { data: unpackHalves(xWords), shape },
    { data: unpackHalves(rowWords), shape: [12] },
  ]
  expectClose(await gpu.readFloats(out.view), reference.pointwise('where', given, { shape }), 0)
  const odd = { view: out.view, shape: [5, 3], storage: 'f16' as const }
  assert.throws(
    () => pointwise(gpu, { name: 'neg', operands: [{ view: gpu.from(x), shape: [5, 3] }], out: odd }),
    /f16 storage takes rows of a multiple of 4 values, got shape \[5,3\]/,
  )
})

test('a gradient does not leak through what was not chosen', async () => {
  const n = 4
  const bad = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, 1, 2)
  const shape = [n]
  const view = (...values: number[]) => ({ view: gpu.from(Float32Array.from(values)), shape })
  const operands = [view(0, 0, 1, 1), { view: gpu.from(bad), shape }, view(1, 2, 3, 4)]
  const d = guarded(gpu, n)
  const y = view(0, 0, 0, 0)
  const backward = (dy: number[], index: number) =>
    pointwiseBackward(gpu, { name: 'where', operands, index, y, dy: view(...dy), d: { view: d.view, shape } })
  backward([Number.NaN, Number.NaN, 5, 6], 1)
  assert.equal([...(await gpu.readFloats(d.view))], [0, 0, 5, 6])
  backward([3, 4, Number.NaN, Number.NaN], 2)
  assert.equal([...(await gpu.readFloats(d.view))], [3, 4, 0, 0])
})

test('uint32 conditions, of any bits', async () => {
  const flags = Uint32Array.of(0, 1, 0x80000000, 0, 0x7fc00000, 2)
  for (const [shape, flagShape] of [
    [[6], [6]],
    [
      [6, 4],
      [6, 1],
    ],
  ] as const) {
    const n = numel(shape)
    const [x, y] = [uniform(n, 1), uniform(n, 2)]
    const out = guarded(gpu, n)
    pointwise(gpu, {
      name: 'where',
      operands: [
        { view: gpu.from(flags), shape: flagShape, storage: 'u32' },
        { view: gpu.from(x), shape },
        { view: gpu.from(y), shape },
      ],
      out: { view: out.view, shape },
    })
    const each = n / 6
    assert.equal(
      await gpu.readFloats(out.view),
      Float32Array.from(x, (v, i) => (flags[Math.floor(i / each)] ? v : y[i]!)),
    )
  }
})

test('many rows, which divide unevenly', async () => {
  const shape = [70_001, 3]
  const [a, b] = [uniform(numel(shape), 1), uniform(3, 2)]
  const out = guarded(gpu, numel(shape))
  const operands = [
    { view: gpu.from(a), shape },
    { view: gpu.from(b), shape: [3] },
  ]
  pointwise(gpu, { name: 'sub', operands, out: { view: out.view, shape } })
  const result = await gpu.readFloats(out.view)
  const wrong = result.findIndex((v, i) => v !== Math.fround(a[i]! - b[i % 3]!))
  assert.is(wrong, -1)
})

test('shapes that do not broadcast are refused', () => {
  assert.throws(
    () => broadcastShapes('mul', [[3, 4], [3]]),
    /^mul: shapes \[3, 4\] and \[3\] do not broadcast: dimension -1 is 4 and 3; expected the same, or 1$/,
  )
})

test('nothing is launched for no elements', () => {
  const { launches } = gpu.counts
  const none = { view: gpu.acquire(4), shape: [0, 3] }
  pointwise(gpu, { name: 'neg', operands: [none], out: { view: gpu.acquire(4), shape: [0, 3] } })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
