import {
  expectDevice,
  expectFunction,
  expectNumber,
  expectNumbers,
  expectOptions,
  NON_NEGATIVE,
} from '../check.ts'
import { ArgumentError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'

/** How long to measure. */
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
  /** The median sample. */
  ms: number
  /** The fastest sample: what the machine does when nothing else runs on it. */
  best: number
}

/**
 * Times one `run`, which records launches. A sample is as many runs in a row as take `sample` milliseconds, and one wait that
 * sleeps, so that neither the wait nor the clock's grain counts. The first run, which compiles, is not counted.
 *
 * @example
 * ```ts
 * import { relu } from 'kernelgrad/kernels'
 * import { timeLaunches } from 'kernelgrad/testing'
 *
 * const [x, y] = [gpu.acquire(4 << 20), gpu.acquire(4 << 20)]
 * const { ms } = await timeLaunches(gpu, () => relu(gpu, { x, y, n: 1 << 20 }))
 * ```
 */
export async function timeLaunches(gpu: Gpu, run: () => void, options: TimingOptions = {}): Promise<Timing> {
  expectDevice('timeLaunches: gpu', gpu)
  expectFunction('timeLaunches: run', run)
  expectOptions('timeLaunches: options', options, ['budget', 'sample'])
  const { budget = 300, sample = 20 } = options
  expectNumber('timeLaunches: budget', budget, NON_NEGATIVE)
  expectNumber('timeLaunches: sample', sample, NON_NEGATIVE)
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
  const each: number[] = []
  for (let i = 0; i < samples; i++) each.push((await once(launches)) / launches)
  return { ms: median(each), best: Math.min(...each) }
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  expectNumbers('median: values', values)
  if (!values.length) throw new ArgumentError('median: values are empty, expected one or more')
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
