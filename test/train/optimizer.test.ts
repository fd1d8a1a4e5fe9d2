// `trainer.optim`: every optimizer in a run, through checkpoints, stages and mixed precision.
// Waits for CI: it trains with every rule
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig, type TrainerConfig } from '../../src/config/index.ts'
import { planStages } from '../../src/train/stages.ts'
import { openTestGpu } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { assertSameEnd, parts } from '../support/run-parts.ts'

const gpu = await openTestGpu()
const { newOutput, part, whole, inParts } = parts(gpu)

/** One epoch, 7 steps. */
const SHORT: TrainerConfig = { num_train_epochs: 1, eval_steps: null }
const ends = new Set<string>()

/** Settings, the class they make, and what it keeps of a parameter. */
const OPTIMIZERS: [TrainerConfig, string, string[]][] = [
  [{ optim: 'adam', weight_decay: 0.1 }, 'Adam', ['exp_avg', 'exp_avg_sq']],
  [{ optim: 'sgd', learning_rate: 0.1 }, 'SGD', []],
  [
    { optim: 'sgd', optim_args: { momentum: 0.9, nesterov: true }, no_decay: ['*.bias'], fp16: true },
    'SGD',
    ['momentum_buffer'],
  ],
  [
    { optim: 'rowwise_adagrad', optim_args: { eps: 1e-6 }, learning_rate: 0.05, weight_decay: 0 },
    'RowwiseAdagrad',
    ['sum'],
  ],
]

for (const [own, name, kept] of OPTIMIZERS) {
  const settings = { ...SHORT, ...own }
  test(`${JSON.stringify(own)}: a run learns, and one in parts ends as a straight one, to the bit`, async () => {
    const straight = await whole(settings)
    assert.is(straight.optimizer, name)
    ends.add(JSON.stringify(straight.bits))
    const [first, last] = [straight.state.log_history[0]!, straight.state.log_history.at(-1)!]
    assert.ok(Number.isFinite(first.loss) && Number.isFinite(last.train_loss))
    assertSameEnd(await inParts(settings, [5]), straight)
    const at = join(straight.output, 'checkpoint-7')
    const weights = readSafetensors(join(at, 'model.safetensors'))
    const state = readSafetensors(join(at, 'optimizer.safetensors'))
    assert.is(state.size, kept.length * weights.size)
    for (const [parameter, { shape }] of weights) {
      const table = /embedding/.test(parameter) && shape.length === 2 && !/LayerNorm/.test(parameter)
      for (const what of kept) {
        const tensor = state.get(`state.${parameter}.${what}`)!
        assert.equal(
          tensor.shape,
          what === 'sum' && table ? shape.slice(0, 1) : shape,
          `${parameter}.${what}`,
        )
      }
    }
    assert.ok(kept.length === 0 || [...state.values()].some(({ data }) => Array.from(data).some(Boolean)))
  })
}

test('the optimizers end with different weights, and AdamW is the one of a run that names none', async () => {
  const straight = await whole(SHORT)
  assert.is(straight.optimizer, 'AdamW')
  ends.add(JSON.stringify(straight.bits))
  assert.is(ends.size, OPTIMIZERS.length + 1)
})

test('stages may have optimizers of their own', async () => {
  const settings: TrainerConfig = {
    optim: 'sgd',
    optim_args: { momentum: 0.9 },
    stages: [
      { num_train_epochs: 1, optim: 'rowwise_adagrad', learning_rate: 0.05, freeze: ['bert.*'] },
      { max_steps: 3 },
      { max_steps: 3, optim: 'adamw_torch' },
    ],
  }
  const straight = await whole(settings)
  assertSameEnd(await inParts(settings, [22, 4]), straight)
})

test('a checkpoint of another optimizer is refused by name, and what it holds beside what is kept', async () => {
  const momentum: TrainerConfig = { optim: 'sgd', optim_args: { momentum: 0.9 } }
  const { output } = await part(momentum, newOutput(), { stopAt: 1 })
  const plain = await part({ optim: 'sgd' }, newOutput(), { stopAt: 1 })
  const refusal = (settings: TrainerConfig, resumeFrom: string) =>
    part(settings, newOutput(), { resumeFrom }).then(
      () => 'went on',
      (error: Error) => error.message,
    )
  assert.match(
    await refusal({}, output),
    /optim is "adamw_torch", and "sgd" in .*checkpoint-1; a run can only go on with the same value/,
  )
  assert.match(
    await refusal({ optim: 'sgd' }, output),
    /optimizer\.safetensors: tensor 'state\..*\.momentum_buffer' is nothing that this run's optimizer keeps/,
  )
  assert.match(await refusal(momentum, plain.output), /tensor 'state\..*\.momentum_buffer' is missing/)
  const other: TrainerConfig = { ...momentum, optim_args: { momentum: 0.8 } }
  const { warnings } = await part(other, newOutput(), { resumeFrom: output, stopAt: 1 })
  assert.match(warnings.join(), /optim_args is .*0\.8.*, and .*0\.9.* in .*: the run goes on with/)
})

test('settings that do not fit are refused before a run starts', () => {
  const refused: [unknown, RegExp][] = [
    [
      { optim: 'adagrad' },
      /t: optim: expected one of 'adamw_torch', 'adam', 'sgd', 'rowwise_adagrad', got "adagrad"/,
    ],
    [{ optim_args: 'momentum=0.9' }, /t: optim_args: expected an object, such as/],
    [{ optim_args: ['momentum'] }, /optim_args: expected an object/],
    [{ optim_args: { momentum: 0.9 } }, /t: optim_args of adamw_torch: unknown key "momentum"/],
    [{ optim: 'adam', optim_args: { amsgrad: true } }, /optim_args of adam: unknown key "amsgrad"/],
    [
      { optim: 'sgd', optim_args: { momentun: 0.9 } },
      /optim_args of sgd: unknown key "momentun"; allowed keys: momentum, dampening, nesterov/,
    ],
    [
      { optim: 'sgd', optim_args: { momentum: -1 } },
      /optim_args of sgd: momentum: expected a number of at least 0, got -1/,
    ],
    [
      { optim: 'sgd', optim_args: { nesterov: true } },
      /nesterov needs a momentum and no dampening, got momentum 0 and dampening 0/,
    ],
    [
      { optim: 'rowwise_adagrad', optim_args: { eps: 'x' } },
      /optim_args of rowwise_adagrad: eps: expected a number/,
    ],
    [
      { stages: [{}, { optim: 'sgd', optim_args: { eps: 1 } }] },
      /t: stages\[1\]: optim_args of sgd: unknown key "eps"/,
    ],
    [
      { stages: [{ optim_args: { momentum: 0.5 } }] },
      /t: stages\[0\]: optim_args of adamw_torch: unknown key "momentum"/,
    ],
  ]
  for (const [settings, message] of refused) assert.throws(() => parseTrainerConfig(settings, 't'), message)
})

test('a stage with another optimizer does not take the arguments of the first', () => {
  const stages = [
    { max_steps: 1 },
    { max_steps: 1, optim: 'adam' as const },
    { optim_args: { momentum: 0.5 } },
  ]
  const config = parseTrainerConfig({ optim: 'sgd', optim_args: { momentum: 0.9 }, stages }, 't')
  assert.equal(
    planStages(config, 100).map(({ config: { optim, optim_args } }) => [optim, optim_args]),
    [
      ['sgd', { momentum: 0.9 }],
      ['adam', {}],
      ['sgd', { momentum: 0.5 }],
    ],
  )
})

test('a checkpoint from before `optim` was a setting goes on without a warning', async () => {
  const { output } = await part({}, newOutput(), { stopAt: 1 })
  const at = (file: string) => join(output, 'checkpoint-1', file)
  const read = (file: string) => JSON.parse(readFileSync(at(file), 'utf8'))
  const { optim, optim_args, ...settings } = read('training_args.json')
  assert.equal([optim, optim_args], ['adamw_torch', {}])
  const text = JSON.stringify(settings)
  const sha256 = createHash('sha256').update(text).digest('hex')
  writeFileSync(at('training_args.json'), text)
  const sums = { ...read('checksums.json'), 'training_args.json': { bytes: Buffer.byteLength(text), sha256 } }
  writeFileSync(at('checksums.json'), JSON.stringify(sums))
  const { state, warnings } = await part({}, output, { resumeFrom: true, stopAt: 1 })
  assert.is(state.global_step, 2)
  assert.equal(warnings, [])
})

test.after(() => gpu.close())
test.run()
