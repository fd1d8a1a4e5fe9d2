// The same work by gpu.js, a library that compiles JavaScript functions for the CPU and the GPU. A call takes arrays and
// gives arrays, so its rows include upload and readback, and the row of ours beside them does too.
import gpujs, { type IKernelFunctionThis } from 'gpu.js'
import { findAdapter, type Gpu } from '../src/gpu/index.ts'
import { gelu } from '../src/kernels/gelu.ts'
import { layerNorm } from '../src/kernels/layernorm.ts'
import { matmul } from '../src/kernels/matmul.ts'
import * as reference from '../src/reference/index.ts'
import { generator } from '../src/testing/index.ts'
import { timeSamples } from './measure.ts'
import type { Peaks } from './peaks.ts'
import { type Result, resultOf, resultTable } from './report.ts'
import { Workspace } from './row.ts'

type Mode = 'cpu' | 'webasm' | 'webgpu'
type Compute = () => Promise<ArrayLike<number>>

/** One operation, done by both, with the right result. */
interface Duel {
  name: string
  shape: string
  flops: number
  bytes: number
  expected: ArrayLike<number>
  ours: (gpu: Gpu) => Promise<Float32Array>
  theirs: (mode: Mode) => { compute: Compute; destroy: () => void }
}

const TOLERANCE = 1e-4
const { GPU } = gpujs

function floats(n: number, seed: number, scale = 1): Float32Array {
  const next = generator(seed)
  return Float32Array.from({ length: n }, () => (2 * next() - 1) * scale)
}

/** Rows of arrays, one after another. */
const flat = (result: unknown): Float32Array => {
  const rows = result as Float32Array | Float32Array[]
  if (rows instanceof Float32Array) return rows
  const out = new Float32Array(rows.length * rows[0]!.length)
  for (const [i, row] of rows.entries()) out.set(row, i * row.length)
  return out
}

/** Runs kernels on device memory made from arrays, and reads the result. */
async function onDevice(
  gpu: Gpu,
  n: number,
  launch: (work: Workspace, out: ReturnType<Workspace['empty']>) => void,
) {
  const work = new Workspace(gpu)
  const out = work.empty(n)
  launch(work, out)
  const values = await gpu.readFloats({ ...out, size: n * 4 })
  work.job(() => {}).dispose()
  return values
}

type This = IKernelFunctionThis<{ K: number; H: number; eps: number }>

function product(this: This, a: number[], b: number[]): number {
  let sum = 0
  for (let k = 0; k < this.constants.K; k++) {
    sum += a[this.thread.y * this.constants.K + k]! * b[this.thread.x * this.constants.K + k]!
  }
  return sum
}

function geluOf(this: This, x: number[]): number {
  const v = x[this.thread.x]!
  const t = 1 / (1 + 0.231641888 * Math.abs(v))
  const p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  const tail = 0.5 * p * Math.exp(-0.5 * v * v)
  if (v < 0) return v * tail
  return v * (1 - tail)
}

function meanOf(this: This, x: number[]): number {
  let sum = 0
  for (let i = 0; i < this.constants.H; i++) sum += x[this.thread.x * this.constants.H + i]!
  return sum / this.constants.H
}

function rstdOf(this: This, x: number[], mean: number[]): number {
  let sum = 0
  for (let i = 0; i < this.constants.H; i++) {
    const d = x[this.thread.x * this.constants.H + i]! - mean[this.thread.x]!
    sum += d * d
  }
  return 1 / Math.sqrt(sum / this.constants.H + this.constants.eps)
}

function normalized(
  this: This,
  x: number[],
  mean: number[],
  rstd: number[],
  weight: number[],
  bias: number[],
): number {
  const v = x[this.thread.y * this.constants.H + this.thread.x]!
  const unit = (v - mean[this.thread.y]!) * rstd[this.thread.y]!
  return unit * weight[this.thread.x]! + bias[this.thread.x]!
}

function matmulDuel(n: number): Duel {
  const [a, b] = [floats(n * n, 1), floats(n * n, 2)]
  const sizes = { M: n, N: n, K: n, layout: 'NT' as const }
  return {
    name: 'matmul.NT',
    shape: `${n}x${n}x${n}`,
    flops: 2 * n ** 3,
    bytes: 12 * n * n,
    expected: reference.matmul({ a, b, ...sizes }),
    ours: gpu =>
      onDevice(gpu, n * n, (work, c) => matmul(gpu, { a: work.put(a), b: work.put(b), c, ...sizes })),
    theirs(mode) {
      const gpu = new GPU({ mode })
      const kernel = gpu.createKernel(product, { constants: { K: n }, output: [n, n] })
      return {
        compute: async () => flat(await kernel(a as unknown as number[], b as unknown as number[])),
        destroy: () => gpu.destroy(),
      }
    },
  }
}

function geluDuel(rows: number, width: number): Duel {
  const n = rows * width
  const x = floats(n, 3, 4)
  return {
    name: 'gelu.forward',
    shape: `${rows}x${width}`,
    flops: 5 * n,
    bytes: 8 * n,
    expected: reference.gelu(x),
    ours: gpu => onDevice(gpu, n, (work, y) => gelu(gpu, { x: work.put(x), y, n })),
    theirs(mode) {
      const gpu = new GPU({ mode })
      const kernel = gpu.createKernel(geluOf, { output: [n] })
      return {
        compute: async () => flat(await kernel(x as unknown as number[])),
        destroy: () => gpu.destroy(),
      }
    },
  }
}

function layerNormDuel(rows: number, H: number): Duel {
  const eps = 1e-12
  const n = rows * H
  const [x, weight, bias] = [floats(n, 4), floats(H, 5), floats(H, 6)]
  return {
    name: 'layernorm.forward',
    shape: `${rows}x${H}`,
    flops: 8 * n,
    bytes: 8 * n,
    expected: reference.layerNorm({ x, weight, bias, rows, H, eps }).y,
    ours: gpu =>
      onDevice(gpu, n, (work, y) => {
        const [mean, rstd] = [work.empty(rows), work.empty(rows)]
        const inputs = { x: work.put(x), weight: work.put(weight), bias: work.put(bias) }
        layerNorm(gpu, { ...inputs, y, mean, rstd, rows, H, eps })
      }),
    theirs(mode) {
      const gpu = new GPU({ mode })
      const constants = { H, eps }
      const mean = gpu.createKernel(meanOf, { constants, output: [rows] })
      const rstd = gpu.createKernel(rstdOf, { constants, output: [rows] })
      const y = gpu.createKernel(normalized, { constants, output: [H, rows] })
      const list = (values: unknown) => values as number[]
      return {
        async compute() {
          const means = list(await mean(list(x)))
          const rstds = list(await rstd(list(x), means))
          return flat(await y(list(x), means, rstds, list(weight), list(bias)))
        },
        destroy: () => gpu.destroy(),
      }
    },
  }
}

/** Lets gpu.js find the adapter in use where a browser would have one. */
async function offerWebGpu(): Promise<boolean> {
  const requestAdapter = async () => (await findAdapter()).adapter
  const value = { gpu: { requestAdapter }, userAgent: 'node' }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
  return GPU.isWebGPUSupported && (await GPU.isWebGPUAvailable())
}

function check({ name, expected }: Duel, values: ArrayLike<number>, variant: string): void {
  let worst = expected.length === values.length ? 0 : Number.POSITIVE_INFINITY
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(values[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!))
    if (!(error <= worst)) worst = error
  }
  if (!(worst <= TOLERANCE)) throw new Error(`${variant}: ${name} is wrong by ${worst}`)
}

/** What the two are timed at. */
export const DUEL_NAMES = ['matmul.NT', 'gelu.forward', 'layernorm.forward']

/** Times gpu.js beside kernelgrad, after checking both results against the float64 oracle. */
export async function benchGpuJs(
  gpu: Gpu,
  peaks: Peaks,
  { quick = false, filter = '', samples = 3 } = {},
): Promise<Result[]> {
  const modes: Mode[] = (await offerWebGpu()) ? ['cpu', 'webasm', 'webgpu'] : ['cpu', 'webasm']
  const duels = quick
    ? [() => matmulDuel(16), () => geluDuel(3, 8), () => layerNormDuel(3, 8)]
    : [() => matmulDuel(256), () => geluDuel(800, 768), () => layerNormDuel(800, 768)]
  const results: Result[] = []
  const time = async (duel: Duel, variant: string, compute: Compute) => {
    check(duel, await compute(), variant)
    const timing = await timeSamples(async () => {
      const started = performance.now()
      await compute()
      return performance.now() - started
    }, samples)
    results.push(resultOf(duel, timing, peaks, { variant }))
  }
  for (const make of duels) {
    const duel = make()
    if (!duel.name.includes(filter)) continue
    await time(duel, 'kernelgrad + transfers', () => duel.ours(gpu))
    for (const mode of modes) {
      const { compute, destroy } = duel.theirs(mode)
      await time(duel, `gpu.js ${mode}`, compute)
      destroy()
    }
  }
  return results
}

export const gpuJsTable = (results: Result[]): string =>
  `arrays in, arrays out: upload and readback are included\n${resultTable(results)}`
