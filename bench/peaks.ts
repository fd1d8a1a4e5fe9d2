// What the adapter in use can do at most, measured: the shares in the tables are of these.
import { readFileSync } from 'node:fs'
import { defineKernel, type Gpu, withConstants } from '../src/gpu/index.ts'
import { millisecondsOf, type TimingOptions } from './measure.ts'
import { Workspace } from './row.ts'

export interface Peaks {
  /** Multiply-adds, two operations each, of unrolled chains in registers. */
  gflops: number
  /** Bytes read plus bytes written by the best copy between buffers larger than the caches. */
  gbps: number
  /** Milliseconds of one launch of a kernel that does nothing, among many in one submit. */
  emptyMs: number
  /** Milliseconds of one launch that is submitted by itself. */
  submitMs: number
  /** Milliseconds from recording one launch to knowing that it is done. */
  roundTripMs: number
}

// Seen from dist/bench/peaks.js.
const wgsl = readFileSync(new URL('../../bench/peaks.wgsl', import.meta.url), 'utf8')
const params = { n: 'u32', repeats: 'u32' } as const
const chain = defineKernel({ name: 'peaks', wgsl, entry: 'chain', params, bindings: ['write'] })
const copy = defineKernel({ name: 'peaks', wgsl, entry: 'copy', params, bindings: ['read', 'write'] })
const empty = defineKernel({ name: 'peaks', wgsl, entry: 'empty', params, bindings: [] })

const CHAIN_OPS = 2 * 8 * 32 // of one repeat, as in peaks.wgsl
const COPIES = [
  { UNROLL: 16, workgroup: 8 },
  { UNROLL: 8, workgroup: 256 },
  { UNROLL: 4, workgroup: 256 },
  { UNROLL: 1, workgroup: 64 },
]

/** Measures every peak; `quick` takes small sizes, for tests. */
export async function measurePeaks(gpu: Gpu, { quick = false } = {}): Promise<Peaks> {
  const timing: TimingOptions = quick ? { budget: 1, sample: 1 } : {}
  const launchMs = (run: () => void) => millisecondsOf(gpu, run, timing)
  const emptyLaunch = () => gpu.launch(empty, { n: 0, repeats: 0 }, [], 1)
  const submitLaunch = () => {
    emptyLaunch()
    gpu.flush()
  }
  return {
    gflops: await chainPeak(gpu, timing, quick),
    gbps: await copyPeak(gpu, timing, quick),
    emptyMs: await launchMs(emptyLaunch),
    submitMs: await launchMs(submitLaunch),
    roundTripMs: await millisecondsOf(gpu, emptyLaunch, { budget: 10, sample: 0 }),
  }
}

async function chainPeak(gpu: Gpu, timing: TimingOptions, quick: boolean): Promise<number> {
  const n = quick ? 1 << 12 : 1 << 17
  const work = new Workspace(gpu)
  const out = work.empty(n)
  let best = 0
  for (const workgroup of [8, 64]) {
    const kernel = { ...chain, workgroup }
    const run = (repeats: number) => gpu.launch(kernel, { n, repeats }, [out], n / workgroup)
    const short = await millisecondsOf(gpu, () => run(1), { budget: 1, sample: 1 })
    const repeats = quick ? 1 : Math.min(Math.max(Math.ceil(20 / short), 1), 4096)
    const ms = await millisecondsOf(gpu, () => run(repeats), timing)
    best = Math.max(best, (n * repeats * CHAIN_OPS) / ms / 1e6)
  }
  work.job(() => {}).dispose()
  return best
}

async function copyPeak(gpu: Gpu, timing: TimingOptions, quick: boolean): Promise<number> {
  const n = quick ? 1 << 14 : 1 << 24
  const work = new Workspace(gpu)
  const [source, target] = [work.floats(n), work.empty(n)]
  let best = 0
  for (const { UNROLL, workgroup } of COPIES) {
    const kernel = { ...withConstants(copy, { UNROLL }), workgroup }
    const groups = n / 4 / UNROLL / workgroup
    const run = () => gpu.launch(kernel, { n: n / 4, repeats: 0 }, [source, target], groups)
    best = Math.max(best, (8 * n) / (await millisecondsOf(gpu, run, timing)) / 1e6)
  }
  work.job(() => {}).dispose()
  return best
}
