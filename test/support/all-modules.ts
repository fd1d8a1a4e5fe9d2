// The WGSL of every module that the library makes: its launchers, walked over sizes, storage, forms, features and kinds of adapter on devices that
// record.
import { FAMILIES } from '../../bench/rows/index.ts'
import { SIZES } from '../../bench/size.ts'
import { startTraining } from '../../bench/training.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { bmm } from '../../src/kernels/bmm.ts'
import { crossAttention, crossAttentionBackward } from '../../src/kernels/cross_attention.ts'
import { type MatmulOptions, matmul, matmulForms } from '../../src/kernels/matmul.ts'
import { type Offered, openRecordingGpu } from './recording-gpu.ts'

/** Kinds of devices that take forms of their own. */
const DEVICES: Offered[] = [
  { forms: 'embedded', subgroups: { least: 4, most: 4 } },
  { forms: 'system', subgroups: { least: 8, most: 8 } },
  { forms: 'hardware' },
  { forms: 'hardware', features: ['shader-f16'] },
  ...['nvidia', 'amd', 'apple', 'intel', 'arm', 'qualcomm'].flatMap(vendor =>
    [[], ['shader-f16']].map(features => ({
      forms: `hardware/${vendor}`,
      features,
      subgroups: { least: vendor === 'intel' ? 8 : 32, most: vendor === 'qualcomm' ? 128 : 32 },
    })),
  ),
]

/** By text, the label of a module. */
export type Modules = Map<string, string>

/** All of them; `quick` takes fewer sizes, and two kinds of cards beside the embedded adapter. */
export async function allModules({ quick = false } = {}): Promise<Modules> {
  const modules: Modules = new Map()
  const few = ['embedded', 'hardware', 'hardware/nvidia']
  for (const offered of quick ? few.map(kind => DEVICES.findLast(({ forms }) => forms === kind)!) : DEVICES) {
    const { gpu, seen } = openRecordingGpu(offered)
    rows(gpu, quick)
    products(gpu)
    manyProducts(gpu)
    crossedRows(gpu)
    for (const fp16 of [false, true])
      for (const dropout of [false, true]) {
        const training = startTraining(gpu, { size: 'tiny', batches: 1, dropout, fp16 })
        training.record(0)
        training.dispose()
      }
    await gpu.done()
    for (const { label, code } of seen.modules) modules.set(code, label)
    gpu.close()
  }
  return modules
}

/** What the benchmark launches: every family, in both widths and storages. */
function rows(gpu: Gpu, quick: boolean): void {
  for (const size of quick ? [SIZES.quick] : [SIZES.quick, SIZES.tiny])
    for (const rowsOf of Object.values(FAMILIES))
      for (const row of rowsOf(size)) {
        const job = row.setup(gpu)
        job.run()
        job.dispose()
      }
}

/** Every form of the matrix product that the device runs, in every layout, with every epilogue, at sizes that divide by 4 and do not. */
function products(gpu: Gpu): void {
  const [a, b, c, more, bias] = [4e4, 4e4, 4e4, 4e4, 4e4].map(n => gpu.acquire(n))
  const rng = { seed: 1, layer: 2, step: 3 }
  const epilogues: Partial<MatmulOptions>[] = [
    {},
    { bias: bias! },
    { bias: bias!, activation: 'gelu', pre: more! },
    { bias: bias!, activation: 'relu' },
    { bias: bias!, dropout: { p: 0.1, rng }, residual: more! },
    { accumulate: true },
    { splits: 2 },
  ]
  for (const form of Object.keys(matmulForms))
    for (const layout of ['NN', 'NT', 'TN'] as const)
      for (const [M, N, K] of [
        [64, 64, 64],
        [33, 30, 35],
      ] as const)
        for (const half of [false, true])
          for (const epilogue of epilogues) {
            if (half && N % 4) continue
            const stored = half ? ({ a: 'f16', b: 'f16', c: 'f16' } as const) : undefined
            const launch = () =>
              matmul(gpu, { a: a!, b: b!, c: c!, M, N, K, layout, form, stored, ...epilogue })
            unlessUnusable(launch)
          }
}

/** Many products at once, in every layout, large and small, with batches of one dimension and of two, and sums that are cut. */
function manyProducts(gpu: Gpu): void {
  const [a, b, c] = [4e6, 4e6, 4e6].map(n => gpu.acquire(n))
  for (const layout of ['NN', 'NT', 'TN'] as const)
    for (const batches of [[12], [3, 4]])
      for (const [M, N, K] of [
        [64, 64, 64],
        [33, 30, 35],
        [8, 12, 1600],
      ] as const) {
        const sizes = { M, N, K, layout, batches, aBatches: batches, bBatches: batches }
        bmm(gpu, { a: a!, b: b!, c: c!, ...sizes })
      }
}

/** Attention between rows of several lengths, over heads of several sizes. */
function crossedRows(gpu: Gpu): void {
  for (const T of [16, 200])
    for (const D of [7, 16, 64, 128]) {
      const side = { B: 2, Tq: T, Tk: T, A: 1, D }
      const [q, k, v, out, dout, dq, dk, dv] = Array.from({ length: 8 }, () => gpu.acquire(T * D * 4))
      const index = gpu.from(Uint32Array.of(0, T / 2, T, 0, T / 2, T))
      const views = { q: q!, k: k!, v: v!, index, out: out!, lse: gpu.acquire(T * 4) }
      crossAttention(gpu, { ...views, ...side })
      crossAttentionBackward(gpu, { ...views, ...side, dout: dout!, dq: dq!, dk: dk!, dv: dv! })
    }
}

/** A form that this device cannot run says so. */
function unlessUnusable(launch: () => void): void {
  try {
    launch()
  } catch (error) {
    if (!/cannot run here/.test((error as Error).message)) throw error
  }
}
