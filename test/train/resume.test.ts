// An interrupted and resumed run ends as an uninterrupted one, to the bit.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { choicesOf, setChoices } from '../../src/kernels/tuning.ts'
import { openTestGpu } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { assertSameEnd, type Ended, parts } from '../support/run-parts.ts'

const gpu = await openTestGpu()
const { newOutput, part, whole, inParts } = parts(gpu)

for (const fp16 of [false, true]) {
  test(`weights and log are those of a straight run, fp16 ${fp16}`, async () => {
    const straight = await whole({ fp16 })
    assert.is(straight.state.global_step, 14)
    // The middle of a window; the last window of an epoch, which is short; the first of a window of the second epoch.
    assertSameEnd(await inParts({ fp16 }, [5, 13, 4]), straight)
    assertSameEnd(await inParts({ fp16 }, [36]), straight)
  })
}

test('when a run saves, evaluates and logs does not change a bit', async () => {
  const often = await whole({ save_steps: 1, eval_steps: 1, logging_steps: 1 })
  const never = await whole({ save_steps: null, eval_steps: null, logging_steps: null })
  assert.equal(often.bits, never.bits)
})

test('a run goes on from any of its checkpoints, as after a kill', async () => {
  const straight = await whole({})
  for (const step of [4, 12]) {
    const output = newOutput()
    const from = join(straight.output, `checkpoint-${step}`)
    const resumed = await part({}, output, { resumeFrom: from })
    assertSameEnd(resumed, straight)
    for (const file of ['model.safetensors', 'optimizer.safetensors', 'resume.json'])
      assert.ok(
        readFileSync(join(output, 'checkpoint-14', file)).equals(
          readFileSync(join(straight.output, 'checkpoint-14', file)),
        ),
        file,
      )
  }
})

test('an early stop, the best model and its checkpoint are the same after a resume', async () => {
  const settings = {
    learning_rate: 0.05,
    encoder_learning_rate: 0.05,
    eval_steps: 1,
    save_steps: 2,
    early_stopping_patience: 2,
    load_best_model_at_end: true,
  }
  const straight = await whole(settings)
  assert.ok(straight.state.global_step < 14, `stopped at ${straight.state.global_step}`)
  const resumed = await inParts(settings, [3, 1])
  assertSameEnd(resumed, straight)
  const name = ({ state, output }: Ended) => state.best_model_checkpoint?.slice(output.length)
  assert.is(name(resumed), name(straight))
  // In a new folder, the best is still the one that the first run left.
  const moved = await part(settings, newOutput(), { resumeFrom: straight.output })
  assertSameEnd(moved, straight)
  assert.is(moved.state.best_model_checkpoint, straight.state.best_model_checkpoint)
  // Going on from its last checkpoint, a stopped run is over.
  const again = await part(settings, straight.output, { resumeFrom: true })
  assertSameEnd(again, straight)
})

test('stages have their own optimizers, epochs and schedules, and resume inside any of them', async () => {
  const settings = {
    stages: [
      { num_train_epochs: 1, encoder_learning_rate: 0, lr_scheduler_type: 'constant' as const },
      { max_steps: 5, learning_rate: 1e-3, gradient_accumulation_steps: 2, fp16: true },
    ],
  }
  const straight = await whole(settings)
  const { state } = straight
  assert.equal([state.global_step, state.max_steps, state.stage], [12, 12, 1])
  assert.ok(Math.abs(state.epoch - (1 + 10 / 19)) < 1e-12, String(state.epoch))
  const rates = state.log_history.flatMap(entry => entry.learning_rate ?? [])
  // Steps 3 and 6 of the first stage; 9 and 12 of the run are the second and the fifth of the second.
  assert.equal(rates, [0, 0, 2e-3, 0.5e-3])
  assertSameEnd(await inParts(settings, [2, 17, 6]), straight)
  assertSameEnd(await inParts(settings, [19]), straight)
})

test('a checkpoint holds what is documented, under the names of torch', async () => {
  const { output, state, bits } = await whole({ fp16: true })
  const at = join(output, 'checkpoint-14')
  assert.equal(readdirSync(at).sort(), [
    'checksums.json',
    'config.json',
    'model.safetensors',
    'optimizer.safetensors',
    'resume.json',
    'trainer_state.json',
    'training_args.json',
  ])
  const moments = readSafetensors(join(at, 'optimizer.safetensors'))
  const weights = readSafetensors(join(at, 'model.safetensors'))
  assert.equal([...weights.keys()].sort(), Object.keys(bits).sort())
  assert.is(moments.size, 2 * weights.size)
  for (const [name, { shape }] of weights) {
    assert.equal(moments.get(`state.${name}.exp_avg`)!.shape, shape)
    const squares = moments.get(`state.${name}.exp_avg_sq`)!
    assert.ok(
      Array.from(squares.data).every(value => value >= 0) &&
        Array.from(squares.data).some(value => value > 0),
    )
  }
  const saved = JSON.parse(readFileSync(join(at, 'trainer_state.json'), 'utf8'))
  assert.equal({ ...saved, log_history: [] }, { ...state, log_history: [] })
  const point = JSON.parse(readFileSync(join(at, 'resume.json'), 'utf8'))
  assert.equal(point.next, { stage: 0, epoch: 1, microBatch: 19 })
  assert.is(point.optimizer_steps, 14)
  assert.ok(point.scaler.scale > 0)
  assert.ok(point.rng.step > 0)
})

test('the kernel forms a run began with are used again', async () => {
  const own = choicesOf(gpu)
  const output = newOutput()
  try {
    setChoices(gpu, { 'matmul of no shape': 'tile' })
    await part({}, output, { stopAt: 1 })
    setChoices(gpu, {})
    const { state } = await part({}, output, { resumeFrom: true })
    assert.equal(state.kernel_choices, { 'matmul of no shape': 'tile' })
    assert.equal(choicesOf(gpu), { 'matmul of no shape': 'tile' })
  } finally {
    setChoices(gpu, own)
  }
})

test.after(() => gpu.close())
test.run()
