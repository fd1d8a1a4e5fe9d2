// Several ranks train as one process does that has the whole of each batch.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeParameter } from '../../src/autograd/index.ts'
import type { TrainerConfig } from '../../src/config/index.ts'
import { RankError } from '../../src/errors.ts'
import { alone, type Ranks, runLocal } from '../../src/ranks/index.ts'
import type { TrainerCallback } from '../../src/train/callbacks.ts'
import { evaluate, predict, type TrainerOptions } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { type Asked, atBatch, type Ended, far, type Kind, makeRank, run } from '../support/rank-runs.ts'
import { bitsOf, folder } from '../support/small-run.ts'

const gpu = await openTestGpu()
const LONG = process.env.CI !== undefined
if (!LONG) console.log('skip: 100 steps of each kind, without CI: 8 steps')
let outputs = 0
const newOutput = () => join(folder, `ranks-${outputs++}`)

/** All ranks end with the same bits, log and evaluations. */
function assertOne(ends: readonly Ended[]): Ended {
  for (const end of ends) {
    assert.equal(end.bits, ends[0]!.bits)
    assert.equal(end.history, ends[0]!.history)
  }
  return ends[0]!
}

/** Losses, and norms before clipping, are one process's. */
async function assertAsOne(kind: Kind, sizes: readonly number[], settings: TrainerConfig, bound = 1e-5) {
  const [one] = await run(gpu, kind, 1, { settings })
  for (const size of sizes) {
    const ends = assertOne(await run(gpu, kind, size, { settings }))
    const off = far(ends.steps, one!.steps)
    assert.ok(off <= bound, `${kind}, ${size} ranks: losses off by ${off}`)
    const norms = far(
      ends.norms.map((norm, i) => norm / one!.norms[i]!),
      one!.norms.map(() => 1),
    )
    assert.ok(norms <= 1e-3, `${kind}, ${size} ranks: norms off by ${norms} of themselves`)
  }
  return one!
}

const EPOCHS = LONG ? { num_train_epochs: 6 } : { max_steps: 8 }

test('text and tables: two ranks and four', async () => {
  const one = await assertAsOne('whole', [2, 4], EPOCHS)
  assert.is(one.steps.length, LONG ? 114 : 8)
})

test('tables alone, by every optimizer', async () => {
  await assertAsOne('tables', [2, 4], EPOCHS)
  for (const [optim, learning_rate] of [
    ['sgd', 0.1],
    ['rowwise_adagrad', 0.02],
  ] as const)
    await assertAsOne('tables', [3], {
      optim,
      learning_rate,
      weight_decay: 0,
      per_device_train_batch_size: 9,
    })
})

test('a word table whose every row has a gradient', async () => {
  await assertAsOne('tied', [2], EPOCHS)
})

test('windows of several batches, clipped gradients', async () => {
  // 19 batches an epoch, in windows of 3: the last window has one, of 6 rows.
  const settings = { gradient_accumulation_steps: 3, max_grad_norm: 0.05 }
  const { norms } = await assertAsOne('whole', [2], settings)
  assert.ok(Math.min(...norms) > 0.05, 'every step is clipped')
})

test('fp16: what overflows on one rank is seen by all', async () => {
  const ends = await run(gpu, 'whole', 2, {
    settings: { fp16: true, max_steps: 6 },
    before: (_, model, { rank }) => rank === 1 && atBatch(model, 3, () => 1e36),
  })
  assertOne(ends)
  for (const { norms } of ends)
    assert.equal(norms.map(Number.isFinite), [true, true, false, true, true, true])
})

test('more ranks than rows in a batch: those without take part', async () => {
  // 150 rows in batches of 4: the last has 2.
  await assertAsOne('tables', [4], { per_device_train_batch_size: 4 })
})

test('dropout masks differ by rank, and weights do not', async () => {
  const seeds = new Set<number>()
  const ends = await run(gpu, 'dropout', 2, {
    settings: { max_steps: 3 },
    before: (_, model) => atBatch(model, 2, () => void seeds.add(model.rng.seed)),
  })
  assertOne(ends)
  assert.is(seeds.size, 2)
  for (const { model } of ends) assert.is(model.rng.seed, 5)
})

test('running statistics are rank 0’s on every rank', async () => {
  // 150 rows in batches of 42: the last has 24; and in batches of 48, 6, of which 8 ranks could not have two each.
  const warnings: string[] = []
  const options = { onWarning: (text: string) => void warnings.push(text) }
  for (const [size, batch] of [
    [3, 42],
    [4, 48],
  ] as const)
    assertOne(
      await run(gpu, 'normed', size, {
        settings: { per_device_train_batch_size: batch, eval_steps: 2 },
        options,
      }),
    )
  assert.equal(warnings, Array(4).fill(warnings[0]))
  assert.match(
    warnings[0]!,
    /150 rows in batches of 48 leave 6 for the last batch .* on 4 ranks: those rows are left out/,
  )
  await refused(
    () => makeRank(gpu, 'normed', { ...alone, size: 100 }),
    /has 150 rows for 100 ranks, and the model has batch normalization/,
  )
})

test('evaluations and predictions are one process’s, to the bit', async () => {
  const made = await makeRank(gpu, 'whole', alone)
  const { model, evaluation } = made
  const how = { batchSize: 8 }
  const scores = await predict(model, evaluation, how)
  const logits = await predict(model, evaluation, { ...how, output: 'logits' })
  const figures = await evaluate(model, evaluation, how)
  for (const size of [2, 9]) {
    const all = await runLocal(size, async ranks => {
      const rows: number[] = []
      const onBatch = (done: number) => rows.push(done)
      return {
        scores: await predict(model, evaluation, { ...how, ranks, onBatch }),
        logits: await predict(model, evaluation, { ...how, ranks, output: 'logits' }),
        figures: await evaluate(model, evaluation, { ...how, ranks }),
        done: rows.at(-1),
      }
    })
    for (const one of all) assert.equal(one, { scores, logits, figures, done: evaluation.length })
  }
  model.free()
})

const SAVES = { gradient_accumulation_steps: 2, eval_steps: 4, save_steps: 4, num_train_epochs: 2 }

test('rank 0 saves; a run that one rank ends goes on to the bit', async () => {
  const straight = newOutput()
  const whole = assertOne(await run(gpu, 'dropout', 2, { settings: SAVES, options: { output: straight } }))
  const saved = readdirSync(straight).filter(name => name.startsWith('checkpoint'))
  assert.equal(saved.sort(), [
    'checkpoint-12',
    'checkpoint-16',
    'checkpoint-20',
    'checkpoint-4',
    'checkpoint-8',
  ])
  const output = newOutput()
  const stopped = await run(gpu, 'dropout', 2, {
    settings: SAVES,
    options: { output },
    before: (trainer, model, { rank }) => rank === 1 && atBatch(model, 13, () => trainer.interrupt()),
  })
  assertOne(stopped)
  for (const { trainer } of stopped) assert.equal([trainer.interrupted, trainer.state.global_step], [true, 7])
  const resumed = assertOne(
    await run(gpu, 'dropout', 2, { settings: SAVES, options: { output }, resume: true }),
  )
  assert.equal(resumed.bits, whole.bits)
  assert.equal(resumed.history, whole.history)
  const file = (of: string) => readFileSync(join(of, 'checkpoint-20', 'optimizer.safetensors'))
  assert.ok(file(output).equals(file(straight)))
})

test('a callback of one rank speaks for all; the best weights are loaded by all', async () => {
  const steps: number[] = []
  const ends = await runLocal(3, async ranks => {
    const callback: TrainerCallback = {
      onStepEnd({ state, control }) {
        if (state.global_step === 2) Object.assign(control, { shouldEvaluate: true, shouldSave: true })
        if (state.global_step === 5) control.shouldTrainingStop = true
      },
      onSave: ({ state }) => void steps.push(state.global_step),
    }
    const { trainer, model } = await makeRank(gpu, 'tables', ranks, {
      settings: { eval_steps: 3, save_steps: 3, load_best_model_at_end: true, learning_rate: 0.1 },
      options: { output: join(folder, 'ranks-best'), callbacks: ranks.rank === 2 ? [callback] : [] },
    })
    const { log_history, best_model_checkpoint } = await trainer.train()
    const bits = await bitsOf(model)
    model.free()
    return { bits, log_history, best_model_checkpoint }
  })
  for (const end of ends) assert.equal(end, ends[0])
  const [{ log_history, best_model_checkpoint }] = ends as [(typeof ends)[0]]
  const evaluated = log_history.filter(entry => 'eval_loss' in entry).map(({ step }) => step)
  assert.equal(
    [evaluated, steps],
    [
      [2, 3],
      [2, 3],
    ],
  )
  assert.match(best_model_checkpoint!, /checkpoint-[23]$/)
})

test('other ranks go on with the same rows a batch', async () => {
  const output = newOutput()
  const two = assertOne(await run(gpu, 'whole', 2, { settings: SAVES, options: { output } }))
  const resume = join(output, 'checkpoint-8')
  const warnings: string[] = []
  for (const size of [1, 4]) {
    const options: Partial<TrainerOptions> = { onWarning: text => warnings.push(text) }
    const other = assertOne(await run(gpu, 'whole', size, { settings: SAVES, options, resume }))
    assert.ok(far(other.steps, two.steps) <= 1e-5)
  }
  assert.match(warnings[0]!, /is of a run on 2 ranks, and there are 1/)
  await refused(
    () => run(gpu, 'whole', 4, { settings: { ...SAVES, per_device_train_batch_size: 16 }, resume }),
    /per_device_train_batch_size is 4 on 4 ranks, 16 together, and 4 on 2 in .*, 8 together; .* set per_device_train_batch_size to 2/,
  )
})

async function refused(work: () => Promise<unknown>, message: RegExp) {
  try {
    await work()
  } catch (error) {
    assert.match((error as Error).message, message)
    return error as Error
  }
  throw new Error('nothing was refused')
}

for (const [what, other, message] of [
  [
    'seed',
    { settings: { seed: 10 } },
    /ranks disagree on the trainer's seed: rank 0 has '9', rank 2 has '10'/,
  ],
  [
    'rate',
    { settings: { learning_rate: 0.1 } },
    /on the trainer's learning_rate: rank 0 has '0.005', rank 2 has '0.1'/,
  ],
  [
    'model',
    { kind: 'normed' },
    /ranks disagree on the architecture: rank 0 has 'TabularModel', rank 2 has 'Normed'/,
  ],
  [
    'output',
    { options: { output: newOutput() } },
    /ranks disagree on whether checkpoints are saved \(output\): rank 0 has false, rank 2 has true/,
  ],
  [
    'data',
    { data: true },
    /ranks disagree on the rows of the training data, file 0: rank 0 has 150, rank 2 has 61/,
  ],
  ['weights', { weights: true }, /ranks disagree on the weights that training starts from: /],
] as const)
  test(`another ${what} on a rank is told by all before the first step`, async () => {
    const told: string[] = []
    const error = await refused(
      () =>
        runLocal(3, async ranks => {
          const own =
            ranks.rank === 2 ? (other as { kind?: Kind; data?: boolean; weights?: boolean } & Asked) : {}
          const { kind = 'tables', settings = {}, options = {} } = own
          const asked = { settings: { max_steps: 2, ...settings }, options }
          const made = await makeRank(gpu, kind, ranks, asked)
          const { model } = made
          if (own.weights) writeParameter([...model.parameters()].at(-1)!, [1, 2])
          const trainer = own.data
            ? (await makeRank(gpu, kind, ranks, { ...asked, options: { train: made.evaluation } })).trainer
            : made.trainer
          try {
            await trainer.train()
          } catch (error) {
            told.push((error as Error).message)
            throw error
          } finally {
            model.free()
          }
        }),
      message,
    )
    assert.instance(error, RankError)
    assert.is(told.length, 3)
    for (const text of told) assert.match(text, message)
  })

test('what one rank meets ends all, and each is told whose it is', async () => {
  const told: string[] = []
  await refused(
    () =>
      run(gpu, 'whole', 3, {
        settings: { per_device_train_batch_size: 9 },
        before: (trainer, model, { rank }) => {
          if (rank === 1)
            atBatch(model, 4, () => {
              throw new Error('the disk is on fire')
            })
          const train = trainer.train.bind(trainer)
          trainer.train = options =>
            train(options).catch(error => {
              told.push(`${rank}: ${error.message}`)
              throw error
            })
        },
      }),
    /the disk is on fire/,
  )
  assert.equal(told.sort(), [
    '0: rank 1: the disk is on fire',
    '1: the disk is on fire',
    '2: rank 1: the disk is on fire',
  ])
})

test('fewer rows than ranks, and what are no ranks, are refused', async () => {
  await refused(
    () => runLocal(151, async ranks => void (ranks.rank === 0 && (await makeRank(gpu, 'tables', ranks)))),
    /the training data has 150 rows, and there are 151 ranks/,
  )
  for (const ranks of [
    null,
    3,
    {},
    { rank: 0, size: 2 },
    { ...alone, size: 0 },
    { ...alone, rank: 1 },
    { ...alone, rank: Number.NaN },
  ])
    await refused(() => makeRank(gpu, 'tables', ranks as unknown as Ranks), /Trainer: ranks/)
})

test.run()
