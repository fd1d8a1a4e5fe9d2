import { ConfigError } from '../errors.ts'
import { defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/matmul.ts'

/** Which operand lies transposed in memory: NN a[M,K] b[K,N]; NT a[M,K] b[N,K]; TN a[K,M] b[K,N]. */
export type MatmulLayout = 'NN' | 'NT' | 'TN'

export interface MatmulOptions {
  a: View
  b: View
  /** [M, N]; nothing is written past its last element. */
  c: View
  /** [N], added to every row. */
  bias?: View | undefined
  M: number
  N: number
  K: number
  layout: MatmulLayout
  /** Add to c instead of overwriting it; false by default. */
  accumulate?: boolean | undefined
  /** Name of a form in `matmulForms`; chosen by size unless given. */
  form?: string | undefined
  /** Parts into which K is cut, summed in order; chosen by size unless given. */
  splits?: number | undefined
}

/** A tile one invocation computes, and the size of product from which it pays. */
export interface MatmulForm {
  rows: number
  columns: number
  /** Neighbouring invocations along M. */
  lanesM: number
  /** Least M N K: a large tile takes seconds to compile on some software adapters. */
  work: number
}

/** From the largest tile to the smallest; the first that keeps the device's lanes busy is taken. */
export const matmulForms: Record<string, MatmulForm> = {
  '16x16': { rows: 16, columns: 16, lanesM: 2, work: 2e7 },
  '8x8': { rows: 8, columns: 8, lanesM: 2, work: 1e6 },
  '4x4': { rows: 4, columns: 4, lanesM: 2, work: 0 },
  '1x4': { rows: 1, columns: 4, lanesM: 1, work: 0 },
}

interface Device {
  /** Invocations that keep it busy. */
  lanes: number
  /** Invocations per workgroup. */
  workgroup: number
  /** How many k are unrolled. */
  step: 1 | 2 | 4
}

const DEVICES: Record<Gpu['adapter']['kind'], Device> = {
  hardware: { lanes: 8192, workgroup: 64, step: 4 },
  'system software': { lanes: 64, workgroup: 8, step: 1 },
  'embedded software': { lanes: 64, workgroup: 8, step: 4 },
}
const PART = 256 // least K of a part

const params = { M: 'u32', N: 'u32', K: 'u32', splits: 'u32', accumulate: 'u32', bias: 'u32' } as const
const main = defineKernel({
  name: 'matmul',
  wgsl,
  entry: 'main',
  params,
  bindings: ['read', 'read', 'read', 'write'],
})
const sum = defineKernel({
  name: 'matmul',
  wgsl,
  entry: 'sum',
  params,
  bindings: ['read', 'read', 'write'],
})

const kernels = new Map<string, Kernel<keyof typeof params>>()

/** The kernel for a tile on a device and the way a, b and c lie in memory; made once. */
function kernelFor({ rows, columns, lanesM }: MatmulForm, device: Device, options: MatmulOptions) {
  const { workgroup, step } = device
  const { M, N, K, layout } = options
  const [tn, nt] = [layout === 'TN', layout === 'NT']
  const passes = K % step === 0 ? 1 : 2
  const k4 = step === 4 && passes === 1
  const m4 = M % 4 === 0 && rows % 4 === 0
  const n4 = N % 4 === 0
  const key = [rows, columns, workgroup, step, layout, tn && m4, n4, k4, passes].join()
  let kernel = kernels.get(key)
  if (!kernel) {
    const constants = {
      R: rows,
      C: columns / 4,
      LANES_M: lanesM,
      A_K4: Number(!tn && k4),
      A_K1: Number(!tn && !k4),
      A_M4: Number(tn && m4),
      A_M1: Number(tn && !m4),
      B_N4: Number(!nt && n4),
      B_N1: Number(!nt && !n4),
      B_K4: Number(nt && k4),
      B_K1: Number(nt && !k4),
      C_4: Number(n4),
      C_1: Number(!n4),
      STEP: step,
      PASSES: passes,
    }
    kernel = { ...withConstants(main, constants), workgroup }
    kernels.set(key, kernel)
  }
  return kernel
}

/** Invocations a form uses. */
const lanesOf = ({ rows, columns, lanesM }: MatmulForm, M: number, N: number) =>
  Math.ceil(M / (rows * lanesM)) * lanesM * Math.ceil(N / columns)

function chooseForm(M: number, N: number, K: number, lanes: number): MatmulForm {
  if (M === 1) return matmulForms['1x4']!
  const fits = (form: MatmulForm) => lanesOf(form, M, N) >= lanes && M * N * K >= form.work
  return Object.values(matmulForms).find(fits) ?? matmulForms['4x4']!
}

/**
 * c = product of a and b (+ bias) (+ c, with `accumulate`), float32, summed in an order that depends on the sizes and
 * the adapter only. Source: `torch.nn.functional.linear` (NT with bias); its gradients are NN (dx) and TN (dW).
 *
 * @throws ConfigError when `form` is not in `matmulForms`
 */
export function matmul(gpu: Gpu, options: MatmulOptions): void {
  const { a, b, c, bias, M, N, K, accumulate } = options
  if (M === 0 || N === 0) return
  const device = DEVICES[gpu.adapter.kind]
  const { lanes, workgroup } = device
  const form = options.form === undefined ? chooseForm(M, N, K, lanes) : matmulForms[options.form]
  if (!form) {
    throw new ConfigError(
      `matmul form '${options.form}' is unknown; expected one of ${Object.keys(matmulForms)}`,
    )
  }
  const used = lanesOf(form, M, N)
  const splits = options.splits ?? Math.max(1, Math.min(Math.ceil(lanes / used), Math.floor(K / PART), 64))
  const kernel = kernelFor(form, device, options)
  const grid = Math.ceil((used * splits) / workgroup)
  const flags = { accumulate: Number(accumulate ?? false), bias: Number(bias !== undefined) }
  // A kernel binds a bias even where it reads none: a stands in.
  if (splits === 1) {
    gpu.launch(kernel, { M, N, K, splits, ...flags }, [a, b, bias ?? a, c], grid)
    return
  }
  const parts = gpu.acquire(M * N * splits * 4, 'matmul parts')
  gpu.launch(kernel, { M, N, K, splits, accumulate: 0, bias: 0 }, [a, b, a, parts], grid)
  gpu.launch(sum, { M, N, K, splits, ...flags }, [parts, bias ?? parts, c], Math.ceil((M * N) / 64))
  gpu.release(parts)
}
