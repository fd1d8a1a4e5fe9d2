// What the adapter in use can do at most: the fastest sample of each. The shares in the tables are of these.
import { readFileSync } from 'node:fs'
import { defineKernel, type Gpu, type Kernel, withConstants } from '../src/gpu/index.ts'
import { type TimingOptions, timeLaunches } from '../src/testing/index.ts'
import { Workspace } from './row.ts'

export interface Peaks {
  /** Multiply-adds, two operations each, of unrolled chains in registers. */
  gflops: number
  /** The same in f16, by pairs; null where the adapter has no shader-f16. */
  gflopsF16: number | null
  /** Bytes read plus bytes written by the best copy between buffers larger than the caches. */
  gbps: number
  /** Milliseconds of one launch of a kernel that does nothing, among many in one submit. */
  emptyMs: number
  /** The same where each launch follows one of another pipeline. */
  switchMs: number
  /** Milliseconds of one launch that is submitted by itself. */
  submitMs: number
  /** Milliseconds from recording one launch to knowing that it is done. */
  roundTripMs: number
}

// Seen from dist/bench/peaks.js.
const read = (file: string) => readFileSync(new URL(`../../bench/${file}`, import.meta.url), 'utf8')
const wgsl = read('peaks.wgsl')
const params = { n: 'u32', repeats: 'u32' } as const
const chain = defineKernel({ name: 'peaks', wgsl, entry: 'chain', params, bindings: ['write'] })
const chainF16 = { ...chain, name: 'peaks_f16', wgsl: read('peaks_f16.wgsl') }
const copy = defineKernel({ name: 'peaks', wgsl, entry: 'copy', params, bindings: ['read', 'write'] })
const empty = defineKernel({ name: 'peaks', wgsl, entry: 'empty', params, bindings: [] })
const other = { ...empty, entry: 'other' }

const CHAINS = [
  { entry: 'line', CHAINS: 8, LENGTH: 128 },
  { entry: 'chain', CHAINS: 4, LENGTH: 64 },
  { entry: 'chain', CHAINS: 8, LENGTH: 128 },
  { entry: 'chain', CHAINS: 10, LENGTH: 100 },
  { entry: 'chain', CHAINS: 16, LENGTH: 64 },
]
const COPIES = [
  { UNROLL: 16, workgroup: 8 },
  { UNROLL: 8, workgroup: 256 },
  { UNROLL: 4, workgroup: 256 },
  { UNROLL: 1, workgroup: 64 },
]

/** Measures every peak; `quick` takes small sizes, for tests. */
export async function measurePeaks(gpu: Gpu, { quick = false } = {}): Promise<Peaks> {
  const timing: TimingOptions = quick ? { budget: 1, sample: 1 } : {}
  const launchMs = async (run: () => void) => (await timeLaunches(gpu, run, timing)).best
  const emptyLaunch = () => gpu.launch(empty, { n: 0, repeats: 0 }, [], 1)
  const alternate = () => {
    emptyLaunch()
    gpu.launch(other, { n: 0, repeats: 0 }, [], 1)
  }
  const submitLaunch = () => {
    emptyLaunch()
    gpu.flush()
  }
  return {
    gflops: await chainPeak(gpu, chain, 2, timing, quick),
    gflopsF16: gpu.features.has('shader-f16') ? await chainPeak(gpu, chainF16, 4, timing, quick) : null,
    gbps: await copyPeak(gpu, timing, quick),
    emptyMs: await launchMs(emptyLaunch),
    switchMs: (await launchMs(alternate)) / 2,
    submitMs: await launchMs(submitLaunch),
    roundTripMs: (await timeLaunches(gpu, emptyLaunch, { budget: 10, sample: 0 })).best,
  }
}

/** `perStep`: operations of one multiply-add of the chain. */
async function chainPeak(
  gpu: Gpu,
  chain: Kernel<'n' | 'repeats'>,
  perStep: number,
  timing: TimingOptions,
  quick: boolean,
): Promise<number> {
  const n = quick ? 1 << 12 : 1 << 17
  const work = new Workspace(gpu)
  const out = work.empty(n)
  let best = 0
  for (const { entry, ...constants } of CHAINS) {
    const kernel = { ...withConstants(chain, constants), entry }
    const ops = perStep * constants.CHAINS * constants.LENGTH
    const run = (repeats: number) => gpu.launch(kernel, { n, repeats }, [out], n / kernel.workgroup)
    const short = await timeLaunches(gpu, () => run(1), { budget: 1, sample: 1 })
    const repeats = quick || entry === 'line' ? 1 : Math.min(Math.max(Math.ceil(20 / short.best), 1), 4096)
    const { best: ms } = await timeLaunches(gpu, () => run(repeats), timing)
    best = Math.max(best, (n * repeats * ops) / ms / 1e6)
  }
  work.job(() => {}).dispose()
  return best
}

/** GB/s read plus written of the best copy. */
export async function copyPeak(gpu: Gpu, timing: TimingOptions, quick: boolean): Promise<number> {
  const n = quick ? 1 << 14 : 1 << 24
  const work = new Workspace(gpu)
  const [source, target] = [work.floats(n), work.empty(n)]
  let best = 0
  for (const { UNROLL, workgroup } of COPIES) {
    const kernel = { ...withConstants(copy, { UNROLL }), workgroup }
    const groups = n / 4 / UNROLL / workgroup
    const run = () => gpu.launch(kernel, { n: n / 4, repeats: 0 }, [source, target], groups)
    const { best: ms } = await timeLaunches(gpu, run, timing)
    best = Math.max(best, (8 * n) / ms / 1e6)
  }
  work.job(() => {}).dispose()
  return best
}
