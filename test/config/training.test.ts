import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseModelConfig, parseTrainerConfig, parseTrainingConfig } from '../../src/config/index.ts'
import { INSTEAD } from '../../src/config/training-arguments.ts'
import { notebook, refusal } from './notebook.ts'

test('trainer settings have the defaults of the notebook', () => {
  const { trainer, ...model } = parseTrainingConfig(notebook(), 'c')
  assert.equal(model, parseModelConfig(notebook(), 'c'))
  assert.equal(trainer, {
    num_train_epochs: 2,
    max_steps: null,
    per_device_train_batch_size: 64,
    per_device_eval_batch_size: 256,
    per_device_train_batch_rows: null,
    gradient_accumulation_steps: 2,
    learning_rate: 1e-3,
    encoder_learning_rate: 1e-4,
    weight_decay: 0.01,
    adam_beta1: 0.9,
    adam_beta2: 0.999,
    adam_epsilon: 1e-8,
    max_grad_norm: 1,
    lr_scheduler_type: 'constant',
    warmup_steps: 0,
    warmup_ratio: 0,
    early_stopping_patience: null,
    early_stopping_threshold: 0,
    no_decay: [],
    distillation: null,
    layer_decay: 1,
    eval_steps: 1000,
    save_steps: 1000,
    save_total_limit: 2,
    load_best_model_at_end: true,
    metric_for_best_model: null,
    greater_is_better: null,
    logging_steps: 50,
    report_to: [],
    seed: 42,
    shuffle: true,
    fp16: false,
    truncate: false,
    stages: [],
    optim: 'adamw_torch',
    optim_args: {},
    memory: null,
  })
})

test('report_to is a name or a list of names', () => {
  const of = (report_to: unknown) => parseTrainerConfig({ report_to }, 'c.json').report_to
  for (const none of ['none', [], ['none']]) assert.equal(of(none), [])
  for (const one of ['tensorboard', ['tensorboard'], ['tensorboard', 'tensorboard', 'none']])
    assert.equal(of(one), ['tensorboard'])
  for (const wrong of ['wandb', 'all', ['tensorboard', 'mlflow'], 7, null, true, {}, [null]])
    assert.match(
      refusal(() => of(wrong)),
      /^c\.json: report_to: expected 'tensorboard', 'none' or a list of them, got /,
    )
})

test('bad trainer settings are refused', () => {
  const refused = (trainer: unknown) =>
    refusal(() => parseTrainingConfig({ ...notebook(), trainer }, 'c.json'))
  assert.match(refused({ lr: 1 }), /^c\.json: trainer: unknown key "lr"; allowed keys: num_train_epochs/)
  for (const [key, use] of [
    ['evaluation_strategy', 'eval_steps'],
    ['output_dir', '--out'],
    ['bf16', 'fp16'],
    ['per_gpu_train_batch_size', 'per_device_train_batch_size'],
  ] as const) {
    const text = refused({ [key]: 1 })
    assert.ok(text.startsWith(`c.json: trainer: unknown key "${key}" (in its place: ${use}`), text)
    const staged = refused({ stages: [{ [key]: 1 }] })
    assert.ok(staged.includes(`unknown key "${key}" (in its place: ${use}`), staged)
  }
  for (const key of Object.keys(INSTEAD))
    assert.match(
      refused({ [key]: 1 }),
      /unknown key "\w+" \(in its place: .+\); allowed keys/,
      'a key that is allowed has nothing in its place',
    )
  assert.match(
    refused({ learning_rate: -1 }),
    /trainer\.learning_rate: expected a number of at least 0, got -1/,
  )
  assert.match(refused({ adam_beta2: 1 }), /adam_beta2: expected a number in \[0, 1\)/)
  assert.match(refused({ lr_scheduler_type: 'step' }), /expected one of 'constant'.*got "step"/)
  assert.match(refused({ eval_steps: 100, save_steps: 250 }), /save_steps 250 and eval_steps 100/)
  assert.match(refused({ warmup_ratio: 2 }), /warmup_ratio: expected a number from 0 to 1, got 2/)
  const patient = { early_stopping_patience: 2, eval_steps: null, load_best_model_at_end: false }
  assert.match(refused(patient), /early_stopping_patience 2 needs eval_steps, got eval_steps null/)
  assert.match(
    refused({ stages: [{ seed: 1 }] }),
    /trainer\.stages\[0\]: unknown key "seed"; allowed keys: num_/,
  )
  assert.match(
    refused({ stages: [{}, { learning_rate: -1 }] }),
    /stages\[1\]\.learning_rate: expected a number of/,
  )
  assert.match(refused({ eval_steps: null }), /load_best_model_at_end needs/)
  assert.match(refused([]), /trainer: expected an object/)
  assert.match(
    refusal(() => parseTrainerConfig({ seed: -1 }, 't')),
    /^t: seed/,
  )
  assert.is(parseTrainerConfig({ eval_steps: null, load_best_model_at_end: false }, 't').eval_steps, null)
})

test.run()
