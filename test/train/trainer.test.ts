// The loop itself: what callbacks see and steer, which model is the best, when it ends, and what it holds on the device.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DenseParameter, type Parameter, scale } from '../../src/autograd/index.ts'
import type { Dataset } from '../../src/data/index.ts'
import { figuresOf } from '../../src/metrics/figures.ts'
import { AdamW, schedule } from '../../src/optim/index.ts'
import { noteEvaluation, outOfPatience } from '../../src/train/best-metric.ts'
import {
  BrokenLossError,
  evaluate,
  type TrainerCallback,
  type TrainerControl,
} from '../../src/train/index.ts'
import { newState } from '../../src/train/trainer-state.ts'
import { openTestGpu } from '../support/gpu.ts'
import { makeRun } from '../support/small-run.ts'

const gpu = await openTestGpu()

async function refusal(work: Promise<unknown>): Promise<Error> {
  try {
    await work
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

test('callbacks are called in the order of transformers, with the settings, the state and the model', async () => {
  const calls: string[] = []
  const note = (name: string) => calls.push(`${name} ${trainer.state.global_step}`)
  const callback: TrainerCallback = {
    onTrainBegin: ({ args, model: seen }) => {
      assert.is(args.seed, 9)
      assert.is(seen, model)
      note('begin')
    },
    onEpochBegin: () => void note('epoch'),
    onStepEnd: ({ control }) =>
      void note(`step${control.shouldLog ? '+log' : ''}${control.shouldSave ? '+save' : ''}`),
    onLog: ({ logs }) => void note(`log ${Object.keys(logs).join()}`),
    onEvaluate: async ({ metrics, state }) => {
      await new Promise(resolve => setImmediate(resolve))
      assert.is(state.best_metric, Math.min(...state.log_history.flatMap(entry => entry.eval_loss ?? [])))
      assert.ok(metrics.eval_loss! > 0 && metrics.eval_roc_auc! > 0)
      note('evaluate')
    },
    onSave: () => void note('save'),
    onEpochEnd: () => void note('epoch end'),
    onTrainEnd: () => void note('end'),
  }
  // 7 steps an epoch; nothing is saved without a folder.
  const { trainer, model } = await makeRun(
    gpu,
    { max_steps: 8, logging_steps: 6, eval_steps: 7 },
    { callbacks: [callback] },
  )
  await trainer.train()
  model.free()
  const evaluated = 'log eval_loss,eval_log_loss,eval_roc_auc,eval_pr_auc'
  const told = calls.map(call =>
    call.startsWith(evaluated) ? `log metrics ${call.split(' ').at(-1)}` : call,
  )
  assert.equal(told, [
    ...['begin 0', 'epoch 0', 'step 1', 'step 2', 'step 3', 'step+save 4', 'step 5', 'step+log 6'],
    ...[
      'log loss,grad_norm,learning_rate,learning_rate_encoder,learning_rate_other,epoch,step 6',
      'step 7',
      'log metrics 7',
      'evaluate 7',
    ],
    ...['epoch end 7', 'epoch 7', 'step+save 8', 'log metrics 8', 'evaluate 8', 'epoch end 8'],
    ...['log train_loss,epoch,step 8', 'end 8'],
  ])
})

test('callbacks steer: log, evaluate and stop when they say so', async () => {
  const only = (at: number, wish: Partial<TrainerControl>): TrainerCallback => ({
    onStepEnd({ state, control }) {
      if (state.global_step === at) Object.assign(control, wish)
    },
  })
  const { trainer, model } = await makeRun(
    gpu,
    { logging_steps: null, eval_steps: null, save_steps: null },
    {
      callbacks: [
        only(2, { shouldLog: true }),
        only(3, { shouldEvaluate: true }),
        only(5, { shouldTrainingStop: true, shouldLog: true }),
      ],
    },
  )
  const { log_history, global_step } = await trainer.train()
  model.free()
  assert.is(global_step, 5)
  assert.equal(
    log_history.map(entry => [entry.step, Object.keys(entry)[0]]),
    [
      [2, 'loss'],
      [3, 'eval_loss'],
      [5, 'loss'],
      [5, 'train_loss'],
    ],
  )
  const [first, , second, last] = log_history
  const mean = (first!.loss! * 2 + second!.loss! * 3) / 5
  assert.ok(Math.abs(last!.train_loss! - mean) < 1e-12, 'train_loss is the mean over all steps')
})

const EVALUATIONS = [0.5, 0.6, 0.605, 0.55, 0.603, 0.7]
const SETTINGS = {
  metric_for_best_model: 'roc_auc',
  greater_is_better: null,
  early_stopping_patience: 2,
  early_stopping_threshold: 0.01,
}

/** Best metric, its step and the patience counter after each evaluation. */
function follow(settings: Partial<typeof SETTINGS> | { greater_is_better: boolean }) {
  const state = newState(gpu, 10)
  const config = { ...SETTINGS, ...settings }
  return EVALUATIONS.map((value, i) => {
    state.global_step = i
    noteEvaluation(state, config, { eval_roc_auc: value, eval_loss: value }, figuresOf(2))
    return [state.best_metric, state.best_global_step, outOfPatience(state, config)]
  })
}

test('best metric and early stopping are those of EarlyStoppingCallback', () => {
  // transformers' callback over these values: 0.605 is the best yet no improvement by more than 0.01.
  assert.equal(follow({}), [
    [0.5, 0, false],
    [0.6, 1, false],
    [0.605, 2, false],
    [0.605, 2, true],
    [0.605, 2, true],
    [0.7, 5, false],
  ])
  // A metric that ends in 'loss' is better when it is less, unless said otherwise.
  const best = (settings: object) => follow(settings).at(-1)!.slice(0, 2)
  assert.equal(best({ metric_for_best_model: 'eval_loss' }), [0.5, 0])
  assert.equal(best({ greater_is_better: true }), [0.7, 5])
})

test('an evaluation that is not a number is never the best, and counts as one without progress', () => {
  const state = newState(gpu, 10)
  for (const [i, value] of [Number.NaN, 0.4, Number.NaN, 0.6].entries()) {
    state.global_step = i + 1
    noteEvaluation(state, SETTINGS, { eval_roc_auc: value }, figuresOf(2))
    const best = [
      [null, null, 1],
      [0.4, 2, 0],
      [0.4, 2, 1],
      [0.6, 4, 0],
    ][i]
    const { best_metric, best_global_step, early_stopping_patience_counter: counter } = state
    assert.equal([best_metric, best_global_step, counter], best)
  }
})

test('early stopping without evaluation data is refused', async () => {
  const { message } = await refusal(makeRun(gpu, { early_stopping_patience: 3 }, { evaluation: undefined }))
  assert.match(message, /^early_stopping_patience is 3, and there is no evaluation data to go by$/)
})

test('every schedule warms up, and the last window of an epoch may be short', async () => {
  for (const name of ['constant', 'constant_with_warmup', 'linear', 'cosine']) {
    const factor = schedule(name, { warmupSteps: 4, totalSteps: 12 })
    assert.equal([0, 1, 2, 3, 4].map(factor), [0, 0.25, 0.5, 0.75, 1], name)
  }
  const at = (name: string) => schedule(name, { warmupSteps: 4, totalSteps: 12 })(8)
  assert.equal(['constant', 'linear'].map(at), [1, 0.5])
  assert.ok(Math.abs(at('cosine') - 0.5) < 1e-15)

  const sizes: number[] = []
  const { trainer, model } = await makeRun(gpu, { num_train_epochs: 1, warmup_ratio: 0.5, logging_steps: 1 })
  const loss = model.loss.bind(model)
  model.loss = batch => {
    if (model.training) sizes.push(batch.size)
    return loss(batch)
  }
  const { log_history } = await trainer.train()
  model.free()
  assert.equal(sizes, [...Array(18).fill(8), 6])
  const rates = log_history.flatMap(entry => entry.learning_rate ?? [])
  // 7 steps, half of them, rounded up, to warm up.
  assert.equal(
    rates.map(rate => Math.round((rate / 2e-3) * 12)),
    [0, 3, 6, 9, 12, 8, 4],
  )
})

test('timings say where the seconds went', async () => {
  const { trainer, model } = await makeRun(gpu, { num_train_epochs: 1 })
  assert.equal(trainer.timings, { data: 0, record: 0, wait: 0, evaluate: 0, save: 0 })
  const started = performance.now()
  await trainer.train()
  const whole = (performance.now() - started) / 1000
  model.free()
  const { save, ...spent } = trainer.timings
  assert.is(save, 0, 'nothing is saved without a folder')
  for (const [part, seconds] of Object.entries(spent)) assert.ok(seconds > 0, part)
  const sum = Object.values(spent).reduce((a, b) => a + b)
  assert.ok(sum <= whole, `${sum} of ${whole} s`)
})

test('a broken loss names files and rows of its batch, in any epoch and window', async () => {
  const { train: rows, model: first } = await makeRun(gpu)
  first.free()
  // Two files; the loss overflows at a row of the second.
  const files = [
    { name: 'a.parquet', rowStart: 0, rows: 100 },
    { name: 'b.parquet', rowStart: 100, rows: 50 },
  ]
  const { trainer, model } = await makeRun(gpu, {}, { train: { ...rows, files } })
  const loss = model.loss.bind(model)
  model.loss = batch => (batch.rows.includes(117) ? scale(scale(loss(batch), 3e38), 3e38) : loss(batch))
  const error = (await refusal(trainer.train())) as BrokenLossError
  model.free()
  assert.instance(error, BrokenLossError)
  const b = error.rows.find(({ file }) => file === 'b.parquet')!
  assert.ok(b.rows.includes(17), JSON.stringify(error.rows))
  assert.is(
    error.rows.reduce((sum, { rows }) => sum + rows.length, 0),
    8,
  )
  assert.match(
    error.message,
    new RegExp(`not a number at step ${error.step}; try .*; the batch was .*b\\.parquet rows`),
  )
})

test('a gradient that is not a number, of a loss that is one, is not saved either', async () => {
  const { trainer, model } = await makeRun(gpu, { eval_steps: 2, logging_steps: null })
  const step = AdamW.prototype.step
  // The second step's gradients break after their losses were computed.
  AdamW.prototype.step = function (options) {
    if (this.stepCount === 1)
      gpu.upload([...model.parameters()].find(isDense)!.gradView, Float32Array.of(Number.NaN))
    step.call(this, options)
  }
  try {
    const error = (await refusal(trainer.train())) as BrokenLossError
    assert.match(
      error.message,
      /^the gradient is not a number at step 2; try a lower .*; the step's rows were .*rows/,
    )
    assert.is(error.rows[0]!.rows.length, 24)
  } finally {
    AdamW.prototype.step = step
    model.free()
  }
})

const isDense = (parameter: Parameter): parameter is DenseParameter => parameter instanceof DenseParameter

test('evaluating 100,000 rows takes no more device memory than evaluating a batch', async () => {
  const { model, train } = await makeRun(gpu)
  model.eval()
  const ROWS = 100_000
  const many = repeat(train, ROWS)
  const batchSize = 2000
  const few = repeat(train, 2 * batchSize)
  const small = await evaluate(model, few, { batchSize })
  const before = gpu.memory.allocated
  let largest = 0
  const large = await evaluate(model, many, {
    batchSize,
    onBatch: () => {
      largest = Math.max(largest, gpu.memory.allocated)
    },
  })
  assert.is(largest, before, 'no byte beyond what two batches took')
  assert.ok(Math.abs(large.loss - small.loss) < 0.01)
  model.free()
})

/** The rows of a data set over and over. */
function repeat(data: Dataset, length: number): Dataset {
  const source = (row: number) => row % data.length
  const pick = <A extends Uint32Array | Float32Array>(from: A): A => {
    const out = new (from.constructor as new (n: number) => A)(length)
    for (let row = 0; row < length; row++) out[row] = from[source(row)]!
    return out
  }
  const lists = Object.entries(data.lists).map(([name, { values, offsets }]) => {
    const out = { offsets: new Uint32Array(length + 1), values: [] as number[] }
    for (let row = 0; row < length; row++) {
      for (let i = offsets[source(row)]!; i < offsets[source(row) + 1]!; i++) out.values.push(values[i]!)
      out.offsets[row + 1] = out.values.length
    }
    return [name, { offsets: out.offsets, values: Uint32Array.from(out.values) }] as const
  })
  const all = <A extends Uint32Array | Float32Array>(columns: Record<string, A>) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, pick(column)]))
  return {
    ...data,
    length,
    files: [{ name: 'repeated', rowStart: 0, rows: length }],
    lists: Object.fromEntries(lists),
    ids: all(data.ids),
    floats: all(data.floats),
  }
}

test.after(() => gpu.close())
test.run()
