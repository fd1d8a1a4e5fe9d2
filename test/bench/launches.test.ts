// What a training step asks of a card, recorded on a device that computes nothing: launches of too few invocations or lanes, too many
// launches, dispatches that last too long.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Launched, LaunchLog } from '../../bench/launches.ts'
import { startTraining, type TrainingOptions } from '../../bench/training.ts'
import { openRecordingGpu } from '../support/recording-gpu.ts'

/** A launch over more values than this is to have at least so many invocations, in groups of at least so many lanes. */
const MANY = 1e5
const LEAST_INVOCATIONS = 4096
const LEAST_LANES = 32
/** Of a step of the notebook's model; the goal was 90. */
const MOST_LAUNCHES = { full: 88, 'full, f16': 108, 'long texts': 105 }
/** Drivers end what lasts two seconds; on a slow integrated GPU this lasts a tenth of one. */
const MOST_VALUE_STEPS = 2e9
/** Of all that is submitted at once. */
const MOST_SUBMITTED = 1e10

/** Kernels whose launches are too small for a card yet, and why. Whoever gives one a form for cards deletes its line. */
const SMALL: Record<string, string> = {
  'matmul.main':
    '2,048 invocations where 64 rows meet 128 columns over 1,024 values: more parts would cost a launch',
}

type Step = Omit<TrainingOptions, 'batches'>
const STEPS: Record<keyof typeof MOST_LAUNCHES, Step> = {
  full: { size: 'full', dropout: true },
  'full, f16': { size: 'full', dropout: true, fp16: true },
  'long texts': { size: 'long', dropout: true },
}

/** A training whose first step, which makes what later ones find, is done. */
async function start(step: Step) {
  const { gpu, seen } = openRecordingGpu({ subgroups: { least: 32, most: 32 } })
  const log = new LaunchLog(gpu)
  const training = startTraining(gpu, { ...step, batches: 2 })
  training.record(0)
  const forget = async () => {
    await gpu.done()
    log.take()
    seen.dispatches = []
    seen.submits = []
  }
  await forget()
  const take = async () => {
    await gpu.done()
    const launches = log.take()
    assert.equal(
      launches.map(({ name }) => name),
      seen.dispatches.map(({ pipeline }) => pipeline),
      'what was launched is what the device was given',
    )
    return launches
  }
  const close = () => {
    training.dispose()
    gpu.close()
  }
  return { seen, training, forget, take, close }
}

async function launchesOf(step: Step): Promise<Launched[]> {
  const { training, take, close } = await start(step)
  training.record(1)
  const launches = await take()
  close()
  return launches
}

const isSmall = ({ values, invocations, kernel }: Launched) =>
  values > MANY && (invocations < LEAST_INVOCATIONS || kernel.workgroup < LEAST_LANES)
const told = ({ name, groups, kernel, values }: Launched) =>
  `${name}: ${groups} groups of ${kernel.workgroup} lanes over ${values} values`

const steps = Object.entries(STEPS) as [keyof typeof STEPS, Step][]
const all: Launched[] = []
for (const [name, step] of steps) {
  const launches = await launchesOf(step)
  all.push(...launches)

  test(`${name}: launches over many values fill a card`, () => {
    const wrong = launches.filter(launch => isSmall(launch) && !(launch.name in SMALL))
    assert.is(wrong.length, 0, wrong.map(told).join('; '))
  })

  test(`${name}: no more launches than there were`, () => {
    assert.ok(launches.length <= MOST_LAUNCHES[name], `${launches.length} launches`)
  })

  test(`${name}: no dispatch lasts long`, () => {
    const long = launches.filter(({ valueSteps }) => valueSteps > MOST_VALUE_STEPS)
    assert.is(long.length, 0, long.map(told).join('; '))
  })
}

test('what is listed as too small is still too small', () => {
  const small = new Set(all.filter(isSmall).map(({ name }) => name))
  const done = Object.keys(SMALL).filter(name => !small.has(name))
  assert.is(done.length, 0, `delete from SMALL: ${done}`)
})

test('rows that sat out thousands of steps catch up in dispatches and submits that end soon', async () => {
  const { seen, training, forget, take, close } = await start(STEPS.full)
  for (let i = 0; i < 4000; i++) training.optimizer.step()
  await forget()
  training.optimizer.synchronize()
  const launches = await take()
  const long = launches.filter(({ valueSteps }) => valueSteps > MOST_VALUE_STEPS)
  const sums: number[] = []
  let at = 0
  for (const count of seen.submits) {
    sums.push(launches.slice(at, at + count).reduce((sum, { valueSteps }) => sum + valueSteps, 0))
    at += count
  }
  close()
  assert.is(at, launches.length)
  const values = launches.reduce((sum, { valueSteps }) => sum + valueSteps, 0)
  assert.ok(
    values > 4000 * 768 * 148_000,
    `${values} value-steps are replayed, expected those of all idle rows`,
  )
  assert.is(long.length, 0, long.map(({ name, valueSteps }) => `${name}: ${valueSteps}`).join('; '))
  assert.ok(Math.max(...sums) <= MOST_SUBMITTED, `${Math.max(...sums)} value-steps in one submit`)
})

test.run()
