// Every launch of a training step by the device's own clock, beside its floor and what the cost model gives it; and the dispatches that catch up.
import { encoderShape } from '../../src/config/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { median } from '../../src/testing/index.ts'
import { type Card, floorMs, modelMs, pairsOf, workOf } from '../cost.ts'
import { LaunchTimes } from '../launch-times.ts'
import { type Launched, LaunchLog } from '../launches.ts'
import { measurePeaks } from '../peaks.ts'
import { startTraining } from '../training.ts'
import { stepsOf, withGpu } from './device.ts'
import type { Context } from './part.ts'

/** Launches of one kernel with the same number of workgroups. */
export interface LaunchRow {
  name: string
  /** Of a step. */
  times: number
  groups: number
  lanes: number
  /** Of all of them, by the device's clock; null where it has none. */
  ms: number | null
  floorMs: number
  modelMs: number
}

/** A step's launches. */
export interface StepLaunches {
  step: string
  launches: number
  rows: LaunchRow[]
  ms: number | null
  floorMs: number
  modelMs: number
  /** The launch that took longest. */
  longest: { name: string; ms: number } | null
  /** Why there are no times. */
  untimed?: string
}

const WARM_UP = 3

/** Invocations that are run at once; WebGPU does not tell, and of cards this fills most. */
const LANES = { hardware: 8192, 'system software': 64, 'embedded software': 32 }

async function cardOf(gpu: Gpu, quick: boolean): Promise<Card> {
  const { gflops, gflopsF16, gbps, emptyMs } = await measurePeaks(gpu, { quick })
  return { gflops, gflopsF16, gbps, launchMs: emptyMs, lanes: LANES[gpu.adapter.kind] }
}

export async function launches({ quick, report, say }: Context): Promise<void> {
  const steps: StepLaunches[] = []
  const counted = quick ? 1 : 5
  for (const { name, ...options } of stepsOf(quick)) {
    await withGpu(async gpu => {
      const card = await cardOf(gpu, quick)
      const training = startTraining(gpu, { ...options, dropout: true, batches: WARM_UP + counted })
      for (let i = 0; i < WARM_UP; i++) training.record(i)
      await gpu.done()
      const untimed = LaunchTimes.missing(gpu)
      const log = new LaunchLog(gpu)
      const times = untimed === undefined ? new LaunchTimes(gpu) : undefined
      const each: number[][] = []
      let last: Launched[] = []
      for (let i = WARM_UP; i < WARM_UP + counted; i++) {
        training.record(i)
        await gpu.done()
        last = log.take()
        if (times) each.push(matched(last, await times.take()))
      }
      const { dim } = encoderShape(Object.values(training.model.encoders())[0]!.config)
      steps.push({
        ...summary(name, last, each, card, pairsOf(training.first, dim)),
        ...(untimed && { untimed }),
      })
      times?.remove()
      log.remove()
      training.dispose()
    })
    say(name)
    report({ steps })
  }
}

/** Milliseconds of each launch; what was launched is what ran. */
function matched(launches: Launched[], times: { name: string; ms: number }[]): number[] {
  const [a, b] = [launches.map(({ name }) => name).join(), times.map(({ name }) => name).join()]
  if (a !== b) throw new Error(`launched were ${a}, and the device timed ${b}`)
  return times.map(({ ms }) => ms)
}

/** Of the last step; times are medians over the steps where all had the same launches, and else the last step's. */
function summary(
  step: string,
  launches: Launched[],
  each: number[][],
  card: Card,
  pairs: number,
): StepLaunches {
  const alike = each.every(ms => ms.length === launches.length)
  const timeOf = (i: number) =>
    each.length ? median(alike ? each.map(ms => ms[i]!) : [each.at(-1)![i]!]) : null
  const rows = new Map<string, LaunchRow>()
  let longest: StepLaunches['longest'] = null
  for (const [i, launch] of launches.entries()) {
    const { name, groups, kernel } = launch
    const key = `${name} ${groups} ${kernel.workgroup}`
    const row = rows.get(key) ?? {
      name,
      times: 0,
      groups,
      lanes: kernel.workgroup,
      ms: null,
      floorMs: 0,
      modelMs: 0,
    }
    rows.set(key, row)
    const work = workOf(launch, pairs)
    const ms = timeOf(i)
    row.times++
    if (ms !== null) row.ms = (row.ms ?? 0) + ms
    row.floorMs += floorMs(work, card)
    row.modelMs += modelMs(launch, work, card)
    if (ms !== null && ms > (longest?.ms ?? 0)) longest = { name, ms }
  }
  const all = [...rows.values()]
  const sum = (key: 'floorMs' | 'modelMs') => all.reduce((total, row) => total + row[key], 0)
  const ms = each.length ? all.reduce((total, row) => total + row.ms!, 0) : null
  all.sort((a, b) => (b.ms ?? b.modelMs) - (a.ms ?? a.modelMs))
  return {
    step,
    launches: launches.length,
    rows: all,
    ms,
    floorMs: sum('floorMs'),
    modelMs: sum('modelMs'),
    longest,
  }
}

/** Every row of every table sits steps out, and catches up. */
export const catchUp = ({ quick, report }: Context): Promise<void> =>
  withGpu(async gpu => {
    const idle = quick ? 50 : 4000
    const training = startTraining(gpu, { size: quick ? 'tiny' : 'full', batches: 1 })
    training.record(0)
    for (let i = 0; i < idle; i++) training.optimizer.step()
    await gpu.done()
    const untimed = LaunchTimes.missing(gpu)
    const times = untimed === undefined ? new LaunchTimes(gpu) : undefined
    const log = new LaunchLog(gpu)
    const before = gpu.counts.submits
    const began = performance.now()
    training.optimizer.synchronize()
    await gpu.done()
    const ms = performance.now() - began
    const dispatches = log.take()
    const taken = times ? matched(dispatches, await times.take()) : []
    report({
      idleSteps: idle,
      dispatches: dispatches.length,
      submits: gpu.counts.submits - before,
      mostValueSteps: Math.max(...dispatches.map(({ valueSteps }) => valueSteps)),
      ms,
      longestMs: taken.length ? Math.max(...taken) : null,
      ...(untimed && { untimed }),
    })
    times?.remove()
    log.remove()
    training.dispose()
  })
