// Samples by tinybench, of work that is no launch; launches are timed by kernelgrad/testing.
import { Bench } from 'tinybench'
import type { Gpu } from '../src/gpu/index.ts'
import { type Timing, type TimingOptions, timeLaunches } from '../src/testing/index.ts'
import type { Row } from './row.ts'

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
