// Single operators of the notebook's model, at shapes that any side takes as they are, with the float64 oracle's values.

import type { Gpu, View } from '../../src/gpu/index.ts'
import { attention } from '../../src/kernels/attention.ts'
import { embedding } from '../../src/kernels/embedding.ts'
import { gelu } from '../../src/kernels/gelu.ts'
import { layerNorm } from '../../src/kernels/layernorm.ts'
import { matmul } from '../../src/kernels/matmul.ts'
import * as reference from '../../src/reference/index.ts'
import { generator } from '../../src/testing/index.ts'
import { hashed } from '../parity/full-case.ts'
import { Workspace } from '../row.ts'
import type { Job } from './ours.ts'

interface Input {
  name: string
  shape: number[]
  scale: number
}

/** What a peer reads of an operator. Inputs are `hashed(name, 0, size, scale)`. */
export interface OperatorWork {
  name: 'matmul' | 'layernorm' | 'attention' | 'gelu' | 'gather'
  inputs: Input[]
  /** Row ids of a gather. */
  ids?: number[]
  /** Flat indices of the output elements that are compared. */
  sample: number[]
}

export interface Operator {
  work: OperatorWork
  shape: string
  flops: number
  bytes: number
  /** The oracle's values at `work.sample`. */
  expected: number[]
  ours: (gpu: Gpu) => OperatorJob
}

/** A job whose result can be looked at. */
interface OperatorJob extends Job {
  values(): Promise<number[]>
}

const size = (shape: number[]) => shape.reduce((n, d) => n * d, 1)
const valuesOf = ({ name, shape, scale }: Input) => hashed(name, 0, size(shape), scale)

interface Made {
  work: Omit<OperatorWork, 'sample'>
  shape: string
  flops: number
  bytes: number
  /** Elements of the output, and the oracle's value of each of `at`. */
  n: number
  expected: (at: number[], inputs: Float32Array[]) => number[]
  /** Puts inputs on the device and returns what records a launch. */
  setup: (gpu: Gpu, work: Workspace, inputs: Float32Array[], out: View) => () => void
  /** Where our output has element i; the same place unless given. */
  place?: (i: number) => number
}

function operator({ work, shape, flops, bytes, n, expected, setup, place = i => i }: Made): Operator {
  const next = generator(n)
  const sample = Array.from({ length: 64 }, () => Math.floor(next() * n))
  const inputs = work.inputs.map(valuesOf)
  return {
    work: { ...work, sample },
    shape,
    flops,
    bytes,
    expected: expected(sample, inputs),
    ours(gpu) {
      const memory = new Workspace(gpu)
      const out = memory.empty(n)
      const launch = setup(gpu, memory, inputs, out)
      return {
        async run(count) {
          const started = performance.now()
          for (let i = 0; i < count; i++) launch()
          await gpu.done()
          return { ms: performance.now() - started }
        },
        async values() {
          const values = await gpu.readFloats({ ...out, size: n * 4 })
          return sample.map(i => values[place(i)]!)
        },
        dispose: () => memory.job(launch).dispose(),
      }
    },
  }
}

function matmulOperator(M: number, N: number, K: number): Operator {
  const sizes = { M, N, K, layout: 'NT' as const }
  return operator({
    work: {
      name: 'matmul',
      inputs: [
        { name: 'a', shape: [M, K], scale: 1 },
        { name: 'b', shape: [N, K], scale: 1 },
      ],
    },
    shape: `${M}x${N}x${K} NT`,
    flops: 2 * M * N * K,
    bytes: 4 * (M * K + N * K + M * N),
    n: M * N,
    expected: (at, [a, b]) =>
      at.map(i => {
        const [row, column] = [Math.floor(i / N), i % N]
        const one = { a: a!.subarray(row * K, (row + 1) * K), b: b!.subarray(column * K, (column + 1) * K) }
        return reference.matmul({ ...one, M: 1, N: 1, K, layout: 'NT' })[0]!
      }),
    setup(gpu, work, [a, b], c) {
      const views = { a: work.put(a!), b: work.put(b!), c }
      return () => matmul(gpu, { ...views, ...sizes })
    },
  })
}

function layerNormOperator(rows: number, H: number): Operator {
  const eps = 1e-12
  return operator({
    work: {
      name: 'layernorm',
      inputs: [
        { name: 'x', shape: [rows, H], scale: 1 },
        { name: 'weight', shape: [H], scale: 1 },
        { name: 'bias', shape: [H], scale: 1 },
      ],
    },
    shape: `${rows}x${H}`,
    flops: 8 * rows * H,
    bytes: 8 * rows * H,
    n: rows * H,
    expected(at, [x, weight, bias]) {
      const { y } = reference.layerNorm({ x: x!, weight: weight!, bias: bias!, rows, H, eps })
      return at.map(i => y[i]!)
    },
    setup(gpu, work, [x, weight, bias], y) {
      const inputs = { x: work.put(x!), weight: work.put(weight!), bias: work.put(bias!) }
      const saved = { mean: work.empty(rows), rstd: work.empty(rows) }
      return () => layerNorm(gpu, { ...inputs, ...saved, y, rows, H, eps })
    },
  })
}

/** Query, key and value are [B, A, S, D]; ours reads them side by side, token after token. */
function attentionOperator(B: number, A: number, S: number, D: number): Operator {
  const T = B * S
  const shape = [B, A, S, D]
  const place = (i: number) => {
    const [d, s, a, b] = [
      i % D,
      Math.floor(i / D) % S,
      Math.floor(i / (D * S)) % A,
      Math.floor(i / (D * S * A)),
    ]
    return ((b * S + s) * A + a) * D + d
  }
  const sideBySide = (parts: Float32Array[]) => {
    const qkv = new Float32Array(3 * T * A * D)
    for (const [part, values] of parts.entries())
      for (let i = 0; i < values.length; i++) {
        const at = place(i)
        qkv[Math.floor(at / (A * D)) * 3 * A * D + part * A * D + (at % (A * D))] = values[i]!
      }
    return qkv
  }
  const rows = {
    keyMask: new Uint32Array(T).fill(1),
    cuSeqlens: Uint32Array.from({ length: B + 1 }, (_, b) => b * S),
    rowIds: Uint32Array.from({ length: T }, (_, t) => Math.floor(t / S)),
  }
  return operator({
    work: { name: 'attention', inputs: ['q', 'k', 'v'].map(name => ({ name, shape, scale: 2 })) },
    shape: `B ${B} A ${A} S ${S} D ${D}`,
    flops: B * A * S * S * (4 * D + 4),
    bytes: 16 * T * A * D,
    n: T * A * D,
    expected(at, inputs) {
      const { out } = reference.attention({ qkv: sideBySide(inputs), ...rows, T, A, D })
      return at.map(i => out[place(i)]!)
    },
    setup(gpu, work, inputs, out) {
      const views = {
        qkv: work.put(sideBySide(inputs)),
        keyMask: work.put(rows.keyMask),
        cuSeqlens: work.put(rows.cuSeqlens),
        lse: work.empty(T * A),
      }
      return () => attention(gpu, { ...views, out, T, A, D })
    },
    place,
  })
}

function geluOperator(rows: number, width: number): Operator {
  const n = rows * width
  return operator({
    work: { name: 'gelu', inputs: [{ name: 'x', shape: [rows, width], scale: 4 }] },
    shape: `${rows}x${width}`,
    flops: 5 * n,
    bytes: 8 * n,
    n,
    expected: (at, [x]) => [...reference.gelu(at.map(i => x![i]!))],
    setup(gpu, work, [values], y) {
      const x = work.put(values!)
      return () => gelu(gpu, { x, y, n })
    },
  })
}

function gatherOperator(V: number, H: number, rows: number): Operator {
  const next = generator(5)
  const ids = Array.from({ length: rows }, () => Math.floor(next() * V))
  return operator({
    work: { name: 'gather', inputs: [{ name: 'table', shape: [V, H], scale: 1 }], ids },
    shape: `${rows} of ${V}x${H}`,
    flops: 0,
    bytes: 8 * rows * H + 4 * rows,
    n: rows * H,
    expected: (at, [table]) => at.map(i => table![ids[Math.floor(i / H)]! * H + (i % H)]!),
    setup(gpu, work, [values], out) {
      const table = [{ view: work.put(values!), firstRow: 0, rows: V }]
      const idView = work.put(Uint32Array.from(ids))
      return () => embedding(gpu, { table, ids: idView, out, n: rows, H })
    },
  })
}

/** Makers, so that only what is asked for takes memory. */
export const operators = (quick = false): Record<OperatorWork['name'], () => Operator> =>
  quick
    ? {
        matmul: () => matmulOperator(7, 5, 12),
        layernorm: () => layerNormOperator(5, 12),
        attention: () => attentionOperator(2, 3, 5, 8),
        gelu: () => geluOperator(5, 7),
        gather: () => gatherOperator(11, 8, 6),
      }
    : {
        matmul: () => matmulOperator(768, 768, 768),
        layernorm: () => layerNormOperator(1536, 768),
        attention: () => attentionOperator(64, 12, 24, 64),
        gelu: () => geluOperator(768, 3072),
        gather: () => gatherOperator(20000, 768, 1536),
      }
