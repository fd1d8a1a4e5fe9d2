// What a training step would take on cards that are not at hand: its launches, recorded, through the cost model. On paper; gpu-accept measures.

import { formatTable } from '../src/cli/table.ts'
import { encoderShape } from '../src/config/index.ts'
import { openRecordingGpu } from '../test/support/recording-gpu.ts'
import { type Card, floorMs, modelMs, pairsOf, workOf } from './cost.ts'
import { LaunchLog } from './launches.ts'
import type { StepSize } from './models.ts'
import { digits } from './report.ts'
import { startTraining } from './training.ts'

/** Peaks as their makers state them, and 2.5 to 3 µs a launch. */
const CARDS: Record<string, Card & { vendor: string; matrix: number }> = {
  'RTX 4090': {
    vendor: 'nvidia',
    gflops: 82_600,
    gflopsF16: 82_600,
    gbps: 1008,
    launchMs: 0.0025,
    lanes: 16_384,
    matrix: 165_000,
  },
  A100: {
    vendor: 'nvidia',
    gflops: 19_500,
    gflopsF16: 78_000,
    gbps: 1555,
    launchMs: 0.0025,
    lanes: 6912,
    matrix: 312_000,
  },
  'M3 Max': {
    vendor: 'apple',
    gflops: 14_200,
    gflopsF16: 14_200,
    gbps: 400,
    launchMs: 0.003,
    lanes: 5120,
    matrix: 14_200,
  },
}

/** Of a subgroup matrix unit's peak, what a form of it reaches. */
const MATRIX_REACHED = 0.3

/** A step on a card. */
export interface Estimate {
  card: string
  step: string
  launches: number
  floorMs: number
  /** By the model, with f16 arithmetic in products where the step is in f16. */
  ms: number
  /** The same with products on matrix units. */
  matrixMs: number
  /** By family, of `ms`. */
  families: Record<string, number>
}

const STEPS: { step: string; size: StepSize; fp16?: boolean }[] = [
  { step: 'full', size: 'full' },
  { step: 'full, f16', size: 'full', fp16: true },
  { step: 'long texts', size: 'long' },
]

/** Every step on every card. */
export async function estimates(): Promise<Estimate[]> {
  const made: Estimate[] = []
  for (const [card, { vendor, matrix, ...peaks }] of Object.entries(CARDS))
    for (const { step, ...options } of STEPS) {
      const features = ['shader-f16']
      const { gpu } = openRecordingGpu({
        forms: `hardware/${vendor}`,
        features,
        subgroups: { least: 32, most: 32 },
      })
      const log = new LaunchLog(gpu)
      const training = startTraining(gpu, { ...options, dropout: true, batches: 2 })
      training.record(0)
      await gpu.done()
      log.take()
      training.record(1)
      await gpu.done()
      const { dim } = encoderShape(Object.values(training.model.encoders())[0]!.config)
      const pairs = pairsOf(training.first, dim)
      const half = options.fp16 === true
      const families: Record<string, number> = {}
      let [floor, matrixMs] = [0, 0]
      const launches = log.take()
      for (const launch of launches) {
        const work = workOf(launch, pairs)
        const ms = modelMs(launch, work, peaks)
        const family = launch.name.split('.')[0]!
        families[family] = (families[family] ?? 0) + ms
        floor += floorMs(work, peaks)
        const onMatrix =
          peaks.launchMs + Math.max(work.flops / matrix / MATRIX_REACHED, work.bytes / peaks.gbps) / 1e6
        matrixMs += family === 'matmul' && half ? Math.min(ms, onMatrix) : ms
      }
      const ms = Object.values(families).reduce((sum, ms) => sum + ms, 0)
      made.push({ card, step, launches: launches.length, floorMs: floor, ms, matrixMs, families })
      training.dispose()
      gpu.close()
    }
  return made
}

/** As a table: the four dearest families beside the sums. */
export function estimateTable(all: Estimate[]): string {
  const rows = all.map(({ card, step, launches, floorMs, ms, matrixMs, families }) => {
    const dearest = Object.entries(families).sort(([, a], [, b]) => b - a)
    const told = dearest.slice(0, 4).map(([family, ms]) => `${family} ${digits(ms)}`)
    return [card, step, launches, digits(floorMs), digits(ms), digits(matrixMs), told.join(', ')]
  })
  return formatTable(['card', 'step', 'launches', 'floor ms', 'model ms', 'on matrix units', 'dearest'], rows)
}
