// Stages with data of their own: what each reads, where a run goes on, and what is refused.
import { mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig, type TrainerConfig } from '../../src/config/index.ts'
import { type Dataset, loadDataset } from '../../src/data/index.ts'
import { createModel, type Model } from '../../src/models/index.ts'
import { predict, saveModel, Trainer, type TrainerOptions, trainingReads } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { bitsOf, files, folder as home, modelJson, TRAINER } from '../support/small-run.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(home, 'stages-'))
const fresh = () => createModel<Model>(modelJson as never).to(gpu, { seed: 5 })

const teacher = createModel<Model>(modelJson as never).to(gpu, { seed: 7 })
teacher.eval()
const teacherFolder = join(folder, 'teacher')
await saveModel(teacher, teacherFolder)

const clicks = await loadDataset(files.train, { inputs: teacher.inputs })
const judged = await loadDataset(files.test, { inputs: teacher.inputs })
/** The other file's rows, without labels, with the teacher's logits. */
const unlabelled = await (async () => {
  const logits = await predict(teacher, judged, { output: 'logits' })
  const column = (c: number) => Float32Array.from({ length: judged.length }, (_, i) => logits[2 * i + c]!)
  const { label: _, ...ids } = judged.ids
  return { ...judged, ids, floats: { ...judged.floats, t0: column(0), t1: column(1) } }
})()

const settings = (stages: TrainerConfig['stages'], more: TrainerConfig = {}) =>
  parseTrainerConfig({ ...TRAINER, eval_steps: null, save_steps: null, ...more, stages }, 'trainer')
const DISTIL = { distillation: { columns: ['t0', 't1'], temperature: 2 }, num_train_epochs: 1 }
const TUNE = { num_train_epochs: 1 }

type Given = Partial<TrainerOptions>
async function run(config: TrainerOptions['config'], given: Given, from?: string) {
  const model = given.model ?? fresh()
  const trainer = new Trainer({ config, ...given, model })
  const state = await trainer.train(from === undefined ? {} : { resumeFromCheckpoint: from })
  const bits = await bitsOf(model)
  model.free()
  return { bits, state, trainer }
}

async function rejects(call: () => unknown, said: RegExp): Promise<void> {
  const error = await Promise.resolve()
    .then(call)
    .then(
      () => new Error('nothing was thrown'),
      error => error as Error,
    )
  assert.match(error.message, said)
}

test('rows that a stage names as its own train as the run’s would', async () => {
  const shared = await run(settings([TUNE, { ...TUNE, freeze: ['bert.*'] }]), { train: clicks })
  const config = settings([
    { ...TUNE, train: 'a' },
    { ...TUNE, freeze: ['bert.*'], train: ['a'] },
  ])
  const own = await run(config, { stageData: [{ train: { ...clicks } }, { train: { ...clicks } }] })
  assert.equal(own.bits, shared.bits)
  assert.is(own.state.max_steps, shared.state.max_steps)
})

const STAGES = [
  { ...DISTIL, train: 'log.parquet' },
  { ...TUNE, freeze: ['bert.*'] },
  { ...DISTIL, distillation: { teacher: teacherFolder, alpha: 0.5 }, train: 'more.parquet' },
]
const DATA: Given = { train: clicks, stageData: [{ train: unlabelled }, undefined, { train: judged }] }

test('each stage takes as many steps as its own rows make, and a run that is stopped in any of them goes on to the bit', async () => {
  const config = settings(STAGES)
  const steps = ({ length }: Dataset) => Math.ceil(Math.ceil(length / 8) / 3)
  const straight = await run(config, DATA)
  const ends = [steps(unlabelled), steps(clicks), steps(judged)].map((_, i, all) =>
    all.slice(0, i + 1).reduce((a, b) => a + b),
  )
  assert.is(straight.state.global_step, ends[2])
  for (const stopAt of [1, ends[0]!, ends[0]! + 2, ends[1]! + 1]) {
    const output = join(folder, `stopped-${stopAt}`)
    let trainer: Trainer | undefined
    const callbacks = [
      {
        onStepEnd({ state }: { state: { global_step: number } }) {
          if (state.global_step === stopAt) trainer!.interrupt()
        },
      },
    ]
    const model = fresh()
    trainer = new Trainer({ ...DATA, model, config, output, callbacks })
    await trainer.train()
    assert.ok(trainer.interrupted)
    model.free()
    assert.ok(readdirSync(output).includes(`checkpoint-${stopAt}`))
    // The files may have moved meanwhile.
    const moved = STAGES.map(stage => ('train' in stage ? { ...stage, train: ['elsewhere'] } : stage))
    const { bits } = await run(settings(moved), DATA, output)
    assert.equal(bits, straight.bits, `stopped after step ${stopAt}`)
  }
  await rejects(
    () =>
      run(
        config,
        { ...DATA, stageData: [{ train: unlabelled }, undefined, { train: clicks }] },
        join(folder, 'stopped-1'),
      ),
    /has 150 rows, and .* had 61 when training began; .* can only go on with the data it was trained on/,
  )
})

test('a stage that is judged by other rows begins without a best', async () => {
  const stages = [
    { ...TUNE, eval: 'a', learning_rate: 0, encoder_learning_rate: 0 },
    { ...TUNE, learning_rate: 10, encoder_learning_rate: 10 },
  ]
  const more: TrainerConfig = { eval_steps: 3, save_steps: 3, load_best_model_at_end: true }
  const output = join(folder, 'judged')
  const given = { train: clicks, evaluation: judged, output }
  const { state } = await run(settings(stages, more), { ...given, stageData: [{ evaluation: clicks }] })
  const own = state.log_history.filter(entry => 'eval_loss' in entry && entry.step > state.max_steps / 2)
  assert.is(state.best_metric, Math.min(...own.map(({ eval_loss }) => eval_loss!)))
  assert.ok(state.best_global_step! > state.max_steps / 2)
  const first = state.log_history.find(entry => 'eval_loss' in entry)!
  assert.ok(first.eval_loss! < state.best_metric!, 'steps that broke the model are worse')
  // Gone on from a checkpoint of the second stage, the first stage's evaluations still count for nothing.
  const last = `checkpoint-${Math.floor((state.max_steps - 1) / 3) * 3}`
  const again = await run(
    settings(stages, more),
    { ...given, stageData: [{ evaluation: clicks }] },
    join(output, last),
  )
  assert.is(again.state.best_global_step, state.best_global_step)
})

test('what a stage reads is what its own loss needs', async () => {
  const model = fresh()
  const config = settings([
    { ...DISTIL, train: 'log' },
    TUNE,
    { distillation: { teacher: teacherFolder }, train: 'more' },
  ])
  const names = async (stage?: number) =>
    Object.keys((await trainingReads(model, config, stage)).inputs).sort()
  assert.equal(await names(0), ['categorical', 'numerical', 'teacher logits', 'text'])
  assert.equal(await names(), ['categorical', 'labels', 'numerical', 'text'])
  assert.equal(await names(2), ['categorical', 'numerical', 'text'])
  for (const stage of [1, 3, -1, 0.5, Number.NaN, '0'] as number[])
    await rejects(() => trainingReads(model, config, stage), /trainingReads: stage is .*names train files/)
  model.free()
})

const [DISTILS, TUNES] = [
  { ...DISTIL, train: 'log' },
  { ...TUNE, train: 'clicks' },
]
const lacking = (name: string): Dataset => {
  const { [name]: _, ...floats } = unlabelled.floats as Record<string, Float32Array<ArrayBuffer>>
  return { ...unlabelled, floats }
}
for (const [what, stages, given, said] of [
  [
    'no rows for the files that a stage names',
    [TUNE, TUNES],
    { train: clicks },
    /config\.stages\[1\]\.train names clicks, and stageData\[1\] has no train: expected its rows/,
  ],
  [
    'no evaluation rows for the files that a stage names',
    [{ ...TUNE, eval: ['x', 'y'] }],
    { train: clicks, stageData: [{}] },
    /config\.stages\[0\]\.eval names x, y, and stageData\[0\] has no evaluation/,
  ],
  [
    'rows for a stage that names no files',
    [TUNE, TUNE],
    { train: clicks, stageData: [undefined, { train: judged }] },
    /stageData\[1\] has train, and config\.stages\[1\] names no train files/,
  ],
  [
    'rows for more stages than there are',
    [TUNE],
    { train: clicks, stageData: [undefined, { train: judged }] },
    /stageData has 2 entries, expected at most 1/,
  ],
  [
    'no rows of the run',
    [TUNES, TUNE],
    { stageData: [{ train: clicks }] },
    /train is undefined.*stages\[1\]/,
  ],
  ['no rows at all', [], {}, /train is undefined/],
  ['stageData that is no list', [TUNE], { train: clicks, stageData: {} }, /stageData is .*expected an array/],
  ['a misspelt key', [TUNE], { train: clicks, stageData: [{ eval: judged }] }, /stageData\[0\].*eval/],
  [
    'rows without labels for a stage that asks for them',
    [TUNES],
    { stageData: [{ train: unlabelled }] },
    /Trainer: stageData\[0\]\.train: the data has no column 'label'/,
  ],
  [
    'rows without labels for a mix',
    [{ ...DISTILS, distillation: { ...DISTIL.distillation, alpha: 0.9 } }],
    { stageData: [{ train: unlabelled }] },
    /Trainer: stageData\[0\]\.train: the data has no column 'label'/,
  ],
  [
    'rows without the logits that a stage learns from',
    [TUNE, DISTILS],
    { train: clicks, stageData: [undefined, { train: lacking('t1') }] },
    /Trainer: stageData\[1\]\.train: the data has no column 't1', which distillation reads as 'teacher logits'/,
  ],
  [
    'a logit that is no number',
    [DISTILS],
    {
      stageData: [
        {
          train: {
            ...unlabelled,
            floats: { ...unlabelled.floats, t0: unlabelled.floats.t0!.slice().fill(Number.NaN, 5, 6) },
          },
        },
      ],
    },
    /stageData\[0\]\.train: column 't0', .*row 5: value NaN/,
  ],
  [
    'an evaluation of one stage without labels',
    [{ ...TUNE, eval: 'x' }],
    { train: clicks, stageData: [{ evaluation: unlabelled }] },
    /Trainer: stageData\[0\]\.evaluation: the data has no column 'label'/,
  ],
  [
    'patience without rows to be judged by',
    [
      { ...TUNE, eval: 'x' },
      { ...TUNE, early_stopping_patience: 2 },
    ],
    { train: clicks, stageData: [{ evaluation: judged }] },
    /early_stopping_patience is 2, and there is no evaluation data to go by/,
  ],
] as [string, TrainerConfig['stages'], object, RegExp][])
  test(`refused before the first step: ${what}`, async () => {
    const model = fresh()
    const more = what.startsWith('patience') ? { eval_steps: 2 } : {}
    await rejects(() => new Trainer({ model, config: settings(stages, more), ...given }).train(), said)
    model.free()
  })

test('files of a stage that are none', () => {
  const parse = (stage: object) => parseTrainerConfig({ stages: [stage] }, 'trainer')
  assert.equal(parse({ train: 'a', eval: ['b', 'c'] }).stages, [{ train: ['a'], eval: ['b', 'c'] }])
  for (const [value, said] of [
    [[], /stages\[0\]\.train: /],
    ['', /stages\[0\]\.train/],
    [['a', ''], /stages\[0\]\.train/],
    [['a', 'a'], /stages\[0\]\.train: names a file twice/],
    [3, /stages\[0\]\.train: expected a file's name, or a list of them/],
    [null, /stages\[0\]\.train: expected a file's name, or a list of them/],
    [[3], /stages\[0\]\.train/],
  ] as const)
    assert.throws(() => parse({ train: value }), said)
  assert.throws(() => parseTrainerConfig({ train: 'a' }, 'trainer'), /unknown key "?train/)
})

test.after(() => {
  teacher.free()
  gpu.close()
})
test.run()
