// Training steps as a whole: their time, recording apart; their losses against frozen ones; and the forms that are fastest here.
import { readFileSync } from 'node:fs'
import { scope } from '../../src/autograd/index.ts'
import { collectShapes } from '../../src/kernels/matmul.ts'
import { type TunedClass, tuneMatmul } from '../../src/kernels/matmul-tuning.ts'
import { createModel, TextTabularModel } from '../../src/models/index.ts'
import { train } from '../compare/ours.ts'
import { trainWork } from '../compare/work.ts'
import { randomBatch, type StepSize, stepModel } from '../models.ts'
import { benchStep, type StepResult } from '../step.ts'
import { withGpu } from './device.ts'
import type { Context } from './part.ts'

/** A step of one size. */
export type StepRow = { step: string } & (
  | Pick<StepResult, 'ms' | 'recordMs' | 'cpuMs' | 'launches' | 'submits' | 'peakBytes' | 'firstMs' | 'loss'>
  | { error: string }
)

const STEPS: { step: string; size: StepSize; fp16?: boolean }[] = [
  { step: 'tiny', size: 'tiny' },
  { step: 'small', size: 'small' },
  { step: 'full', size: 'full' },
  { step: 'full, f16', size: 'full', fp16: true },
  { step: 'long texts', size: 'long' },
  { step: 'long texts, f16', size: 'long', fp16: true },
]

/** One that fails, as for want of memory, does not stop the others. */
export async function steps({ quick, report, say }: Context): Promise<void> {
  const rows: StepRow[] = []
  for (const { step, ...options } of quick ? STEPS.slice(0, 1) : STEPS) {
    try {
      const result = await withGpu(gpu => benchStep(gpu, { ...options, steps: quick ? 2 : 20, floor: false }))
      const { ms, recordMs, cpuMs, launches, submits, peakBytes, firstMs, loss } = result
      rows.push({ step, ms, recordMs, cpuMs, launches, submits, peakBytes, firstMs, loss })
    } catch (error) {
      rows.push({ step, error: (error as Error).message })
    }
    say(step)
    report({ rows })
  }
  if (rows.some(row => 'error' in row)) throw new Error('not every step could be taken')
}

// Seen from dist/bench/accept.
const FROZEN = new URL('../../../test/golden/losses/tiny.json', import.meta.url)
/** Most that a loss may be off, over itself: of the first 150, and of those after, where rounding has begun to decide where they go. */
const BOUNDS = [1e-3, 5e-2] as const
const EARLY = 150

/** The frozen losses: PyTorch in float64, the same starting weights and batches. */
export const frozenLosses = (): number[] => JSON.parse(readFileSync(FROZEN, 'utf8')).losses

/**
 * With AdamW's own eps, what has no gradient but rounding's (a key's bias) moves as far as all else, and at the benchmark's rates two
 * sums in another order are a quarter of a loss apart after 200 steps.
 */
const SETTINGS = { lr: [1e-5, 1e-4] as [number, number], eps: 1e-4 }

/** The work that the frozen losses are of. */
export function frozenWork(count: number) {
  const built = stepModel('tiny')
  const model = new TextTabularModel(built.config)
  return { model, work: { ...trainWork(built, model, count), ...SETTINGS } }
}

/** 200 steps beside the frozen losses. */
export const losses = ({ quick, report, say }: Context): Promise<void> =>
  withGpu(async gpu => {
    const expected = frozenLosses().slice(0, quick ? 10 : undefined)
    const { model, work } = frozenWork(expected.length)
    const job = train(gpu, model, work)
    const got: number[] = []
    while (got.length < expected.length) {
      const { losses } = await job.run(Math.min(20, expected.length - got.length))
      got.push(...losses!.map(loss => loss ?? Number.NaN))
      const off = got.map((loss, i) => Math.abs(loss - expected[i]!) / expected[i]!)
      const worstOf = (off: number[]) =>
        off.some(Number.isNaN) ? Number.POSITIVE_INFINITY : Math.max(0, ...off)
      const [early, late] = [worstOf(off.slice(0, EARLY)), worstOf(off.slice(EARLY))]
      report({
        steps: got.length,
        of: expected.length,
        worst: { early, late },
        bound: { early: BOUNDS[0], late: BOUNDS[1] },
        holds: early <= BOUNDS[0] && late <= BOUNDS[1],
        losses: got,
        expected,
      })
      say(`${got.length} steps, off by ${Math.max(early, late).toExponential(1)} at most`)
    }
    job.dispose()
  })

/** Times the forms of the matrix product at the shapes of a step; nothing is stored where KERNELGRAD_TUNING is off. */
export const tuned = ({ quick, report, say }: Context): Promise<void> =>
  withGpu(async gpu => {
    const built = stepModel(quick ? 'tiny' : 'full')
    const model = createModel(built.config).to(gpu, { seed: 1 })
    const batch = randomBatch(built, 1)
    const shapes = collectShapes(gpu, () => scope(() => model.loss(batch).backward()))
    model.free()
    const classes: TunedClass[] = []
    await tuneMatmul(gpu, quick ? shapes.slice(0, 1) : shapes, (one, index, count) => {
      classes.push(one)
      say(`${index} of ${count}`)
      report({ classes })
    })
  })
