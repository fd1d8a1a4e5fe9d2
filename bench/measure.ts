// Samples by tinybench. A sample is N launches recorded in a row and one wait that sleeps, so that neither the wait nor
// the clock's grain counts; N is chosen so that a sample takes long enough.
import { Bench } from 'tinybench'
import type { Gpu } from '../src/gpu/index.ts'
import type { Row } from './row.ts'

export interface TimingOptions {
  /** Milliseconds of samples to aim at; at least three are taken. */
  budget?: number
  /** Least milliseconds of a sample. */
  sample?: number
}

const MAX_LAUNCHES = 2048
const MAX_SAMPLES = 25

/** Milliseconds of one piece of work. */
export interface Timing {
  ms: number
  /** The fastest sample: what the machine does when nothing else runs on it. */
  best: number
}

/** Times one `run`, which records launches. The first, which compiles, is not counted. */
export async function timeLaunches(
  gpu: Gpu,
  run: () => void,
  { budget = 300, sample = 20 }: TimingOptions = {},
): Promise<Timing> {
  const once = async (n: number) => {
    const started = performance.now()
    for (let i = 0; i < n; i++) run()
    await gpu.done()
    return performance.now() - started
  }
  await once(1)
  let launches = 1
  let took = await once(1)
  while (took < sample && launches < MAX_LAUNCHES) {
    launches = Math.min(Math.max(Math.ceil((launches * sample * 1.2) / took), 2 * launches), MAX_LAUNCHES)
    took = await once(launches)
  }
  const samples = Math.min(Math.max(Math.ceil(budget / took), 3), MAX_SAMPLES)
  return timeSamples(async () => (await once(launches)) / launches, samples)
}

/** Median and least over `samples` calls of the milliseconds that `measure` returns. */
export async function timeSamples(measure: () => Promise<number>, samples: number): Promise<Timing> {
  const bench = new Bench({ iterations: samples, time: 0, warmup: false, throws: true })
  bench.add('samples', async () => ({ overriddenDuration: await measure() }), { async: true })
  const [task] = await bench.run()
  const result = task!.result
  if (!('latency' in result)) throw new Error(`a benchmark ended as '${result.state}'`)
  return { ms: result.latency.p50, best: result.latency.min }
}

/** Sets a row up, times it and frees it. */
export async function timeRow(gpu: Gpu, row: Row, options?: TimingOptions): Promise<Timing> {
  const job = row.setup(gpu)
  try {
    return await timeLaunches(gpu, job.run, options)
  } finally {
    job.dispose()
  }
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
