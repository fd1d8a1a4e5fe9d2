// A student beside its teacher: both ways to its logits give one run, which goes on to the bit, and what cannot be right is told first.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Arena, DenseParameter } from '../../src/autograd/index.ts'
import { parseTrainerConfig, type TrainerConfig } from '../../src/config/index.ts'
import { files as fileSystem } from '../../src/data/files-node.ts'
import { type Dataset, loadDataset } from '../../src/data/index.ts'
import { createModel, type Model } from '../../src/models/index.ts'
import { loadFrozen } from '../../src/train/checkpoint.ts'
import {
  loadModel,
  predict,
  saveModel,
  Trainer,
  type TrainerOptions,
  trainingReads,
} from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { bitsOf, files, folder as home, modelJson, TRAINER } from '../support/small-run.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(home, 'distil-'))
const encoder = { ...modelJson.pretrained_model_config, n_layers: 2 }
const made = (json: object, seed: number): Model =>
  createModel<Model>({ ...modelJson, ...json } as never).to(gpu, { seed })
const fresh = () => made({}, 5)

/** A teacher of other layers, saved: its weights are drawn wide, so that it is sure of something. */
const teacherFolder = join(folder, 'teacher')
const teacher = made({ pretrained_model_config: { ...encoder, initializer_range: 0.3 } }, 7)
teacher.eval()
await saveModel(teacher, teacherFolder)

async function rejects(call: () => Promise<unknown>, said: RegExp): Promise<void> {
  const error = await call().then(
    () => new Error('nothing was thrown'),
    error => error as Error,
  )
  assert.match(error.message, said)
}

const settings = (distillation: object | null, more: TrainerConfig = {}) =>
  parseTrainerConfig({ ...TRAINER, eval_steps: null, save_steps: null, distillation, ...more }, 'trainer')
type Config = ReturnType<typeof settings>

async function reading(model: Model, config: Config): Promise<Dataset> {
  return loadDataset(files.train, await trainingReads(model, config))
}
/** The training rows with columns of a model's logits, as a file of them would have. */
async function withLogits(rows: Dataset, source = teacher, names = ['t0', 't1']): Promise<Dataset> {
  const logits = await predict(source, rows, { output: 'logits' })
  const C = logits.length / rows.length
  const columns = names.map((name, c) => [
    name,
    Float32Array.from({ length: rows.length }, (_, i) => logits[i * C + (c % C)]!),
  ])
  return { ...rows, floats: { ...rows.floats, ...Object.fromEntries(columns) } }
}
const rows = await loadDataset(files.train, { inputs: teacher.inputs })
const COLUMNS = { columns: ['t0', 't1'] }
const taught = await withLogits(rows)

async function run(
  config: Config,
  train: Dataset,
  options: Partial<TrainerOptions> = {},
  model = fresh(),
  from?: string,
) {
  const trainer = new Trainer({ model, config, train, ...options })
  const state = await trainer.train(from === undefined ? {} : { resumeFromCheckpoint: from })
  const bits = await bitsOf(model)
  model.free()
  return { bits, losses: state.log_history.map(({ loss }) => loss), trainer }
}

for (const [what, own, more] of [
  ['KL at T = 2 alone', { temperature: 2 }, {}],
  ['a mix with the labels', { loss: 'soft_cross_entropy', temperature: 2, alpha: 0.4 }, {}],
  ['squared error in fp16', { loss: 'mse', alpha: 0.7 }, { fp16: true }],
] as [string, object, TrainerConfig][])
  test(`a teacher beside the student, and its logits as columns, give the same bits: ${what}`, async () => {
    const config = settings({ teacher: teacherFolder, ...own }, more)
    const student = fresh()
    const train = await reading(student, config)
    const first = await run(config, train, {}, student)
    const second = await run(settings({ ...COLUMNS, ...own }, more), taught)
    assert.equal(first.bits, second.bits)
    assert.equal(first.losses, second.losses)
    assert.ok(first.losses.some(loss => loss! > 0))
  })

test('without labels a student learns where its teacher is all there is, and with a share of them they are asked for', async () => {
  const student = fresh()
  const { label: _, ...ids } = rows.ids
  const unlabelled = { ...taught, ids }
  const first = await run(settings(COLUMNS), unlabelled)
  assert.equal(first.bits, (await run(settings(COLUMNS), taught)).bits)
  const said = /Trainer: train: the data has no column 'label', which TextTabularModel reads as 'labels'/
  for (const mixed of [
    settings({ ...COLUMNS, alpha: 0.9 }),
    settings(COLUMNS, { stages: [{}, { distillation: null }] }),
  ])
    assert.throws(() => new Trainer({ model: student, config: mixed, train: unlabelled }), said)
  const reads = await trainingReads(student, settings(COLUMNS))
  assert.equal(Object.keys(reads.inputs).sort(), ['categorical', 'numerical', 'teacher logits', 'text'])
  const mixed = await trainingReads(student, settings({ teacher: teacherFolder, alpha: 0.5 }))
  assert.equal(
    Object.keys(mixed.inputs).sort(),
    Object.keys(student.inputs).sort(),
    'all is read alike, and once',
  )
  student.free()
})

const until = (model: Model, count: number, stop: () => void) => {
  const logits = model.logits!.bind(model)
  let seen = 0
  model.logits = batch => {
    if (model.training && ++seen === count) stop()
    return logits(batch)
  }
  return model
}

test('a run that was stopped goes on to the bit, the teacher moved meanwhile; another teacher is refused', async () => {
  const moved = join(folder, 'moved')
  cpSync(teacherFolder, moved, { recursive: true })
  const config = settings({ teacher: teacherFolder, temperature: 2, alpha: 0.6 })
  const train = await reading(fresh(), config)
  const straight = await run(config, train)
  const output = join(folder, 'stopped')
  const model = fresh()
  let trainer: Trainer | undefined
  until(model, 10, () => trainer!.interrupt())
  trainer = new Trainer({ model, config, train, output })
  await trainer.train()
  assert.ok(trainer.interrupted)
  const checkpoint = join(output, readdirSync(output).find(name => name.startsWith('checkpoint'))!)
  assert.equal(
    readdirSync(checkpoint).sort(),
    [
      'checksums.json',
      'config.json',
      'model.safetensors',
      'optimizer.safetensors',
      'resume.json',
      'trainer_state.json',
      'training_args.json',
    ],
    "none of the teacher's weights",
  )
  const resumed = await run(
    settings({ teacher: moved, temperature: 2, alpha: 0.6 }),
    train,
    {},
    fresh(),
    output,
  )
  assert.equal(resumed.bits, straight.bits)
  await saveModel(made({ pretrained_model_config: encoder }, 8), moved)
  await rejects(
    () => run(settings({ teacher: moved, temperature: 2, alpha: 0.6 }), train, {}, fresh(), output),
    /teacher .*moved has changed since .*checkpoint-\d+ was saved: its weights or configuration are others/,
  )
  await rejects(
    () => run(settings({ teacher: teacherFolder, temperature: 3, alpha: 0.6 }), train, {}, fresh(), output),
    /distillation is .*"temperature":3.*a run can only go on with the same value/,
  )
})

test('a stage begins with a teacher, another ends without: what changed meanwhile is told', async () => {
  const own = join(folder, 'own')
  cpSync(teacherFolder, own, { recursive: true })
  const stages = [
    { distillation: null, max_steps: 2 },
    { distillation: { teacher: own }, max_steps: 3 },
    { max_steps: 1, distillation: null },
  ]
  const config = settings(null, { stages } as TrainerConfig)
  const train = await reading(fresh(), config)
  const inStages = await run(config, train)
  const held = [2, 3, 1].map((max_steps, i) => ({ max_steps, distillation: i === 1 ? COLUMNS : null }))
  assert.equal(inStages.bits, (await run(settings(null, { stages: held } as TrainerConfig), taught)).bits)
  const model = fresh()
  const trainer = new Trainer({
    model,
    config,
    train,
    callbacks: [
      {
        onStepEnd({ state }) {
          if (state.global_step !== 2) return
          const weights = readFileSync(join(own, 'model.safetensors'))
          weights[weights.length - 1]! ^= 1
          writeFileSync(join(own, 'model.safetensors'), weights)
        },
      },
    ],
  })
  await rejects(
    () => trainer.train(),
    /teacher .*own is damaged: model\.safetensors does not match its checksum/,
  )
  rmSync(join(own, 'checksums.json'))
  model.free()
})

test("a teacher's weights are read twice in a run of several stages: for their checksum, and onto the device", async () => {
  const { open } = fileSystem
  const { now } = Date
  const opened: string[] = []
  fileSystem.open = path => {
    opened.push(path)
    return open(path)
  }
  // What changed within a clock's resolution is read again.
  Date.now = () => now() + 60_000
  const own = join(folder, 'once')
  cpSync(teacherFolder, own, { recursive: true })
  const stages = [{ max_steps: 1 }, { max_steps: 1 }] as TrainerConfig['stages']
  const config = settings({ teacher: own }, { stages })
  const student = fresh()
  try {
    await run(config, await reading(student, config), {}, student)
  } finally {
    fileSystem.open = open
    Date.now = now
  }
  const weights = opened.filter(path => path === join(own, 'model.safetensors'))
  assert.is(weights.length, 2)
})

test("a teacher's weights stay, and it has no memory for gradients", async () => {
  const weights = readFileSync(join(teacherFolder, 'model.safetensors'))
  const before = gpu.memory.inUse
  const trained = await loadModel(gpu, teacherFolder)
  const bytes = gpu.memory.inUse - before
  trained.free()
  const frozen = await loadFrozen(gpu, teacherFolder)
  assert.is(gpu.memory.inUse - before, bytes - sumOf(frozen, arena => arena.weights.size))
  frozen.free()
  assert.is(gpu.memory.inUse, before)
  const config = settings({ teacher: teacherFolder })
  const student = fresh()
  await run(config, await reading(student, config), {}, student)
  assert.is(gpu.memory.inUse, before, 'what a run held is given back')
  assert.ok(readFileSync(join(teacherFolder, 'model.safetensors')).equals(weights))
})

/** Over the arenas of a model's dense parameters. */
function sumOf(model: Model, bytes: (arena: Arena) => number): number {
  const arenas = [...model.parameters()].flatMap(one => (one instanceof DenseParameter ? one.arena! : []))
  return [...new Set(arenas)].reduce((sum, arena) => sum + bytes(arena), 0)
}

const REFUSED: [what: string, config: object, said: RegExp, train?: () => Promise<Dataset> | Dataset][] = [
  ['no folder', { teacher: join(folder, 'nowhere') }, /teacher .*nowhere holds no config\.json/],
  [
    'columns that the data lacks',
    { columns: ['t0', 't9'] },
    /Trainer: train: the data has no column 't9', which distillation reads as 'teacher logits'/,
  ],
  [
    'too few columns',
    { columns: ['t0', 't1', 't2'] },
    /distillation: columns t0, t1, t2: 3 logits a row, expected 2, one for each class of TextTabularModel/,
    () => withLogits(rows, teacher, ['t0', 't1', 't2']),
  ],
  [
    'a logit that is no number',
    COLUMNS,
    /Trainer: train: column 't1', .*train\.parquet: row 17: value NaN, expected a finite float32 number/,
    () => ({
      ...taught,
      floats: { ...taught.floats, t1: taught.floats.t1!.slice().fill(Number.NaN, 17, 18) },
    }),
  ],
]
for (const [what, distillation, said, train = () => taught] of REFUSED)
  test(`refused before the first step: ${what}`, async () => {
    let steps = 0
    const callbacks = [{ onStepEnd: () => void steps++ }]
    await rejects(async () => run(settings(distillation), await train(), { callbacks }), said)
    assert.is(steps, 0)
  })

test('refused before the first step: a teacher of other classes, or without logits, and a student without', async () => {
  const three = join(folder, 'three')
  const model = made({ num_labels: 3 }, 2)
  await saveModel(model, three)
  await rejects(
    () => run(settings({ teacher: three }), rows),
    /distillation: teacher .*three: 3 logits a row, expected 2, one for each class of TextTabularModel/,
  )
  const masked = join(folder, 'masked')
  const { mlp_config: _, features_config, ...rest } = modelJson
  const texts = Object.fromEntries(
    Object.entries(features_config).filter(([, { dtype }]) => dtype === 'token_id'),
  )
  const pretrained = createModel<Model>({
    architecture: 'DistilBertForMaskedLM',
    features_config: texts,
    ...rest,
  } as never).to(gpu)
  await saveModel(pretrained, masked)
  await rejects(
    () => run(settings({ teacher: masked }), rows),
    /teacher .*masked: DistilBertForMaskedLM has no logits, expected a model with the method logits/,
  )
  assert.throws(
    () => new Trainer({ model: pretrained, config: settings(COLUMNS), train: taught }),
    /distillation: DistilBertForMaskedLM has no logits/,
  )
  for (const one of [model, pretrained]) one.free()
})

test('settings that say too much, too little or what cannot be', () => {
  for (const [distillation, said] of [
    [{}, /distillation has neither teacher nor columns/],
    [{ teacher: 'a', columns: ['b'] }, /distillation has both teacher and columns/],
    [{ teacher: '' }, /distillation\.teacher is empty/],
    [{ columns: [] }, /distillation\.columns is empty/],
    [{ columns: ['a', 'a'] }, /distillation\.columns names 'a' twice/],
    [{ teacher: 'a', temperature: 0 }, /distillation\.temperature: expected a number above 0, got 0/],
    [{ teacher: 'a', alpha: 1.1 }, /distillation\.alpha: expected a number from 0 to 1, got 1\.1/],
    [{ teacher: 'a', alpha: -1 }, /distillation\.alpha: expected a number from 0 to 1, got -1/],
    [{ teacher: 'a', loss: 'l2' }, /distillation\.loss: expected one of 'kl'.*got "l2"/],
    [{ teacher: 'a', T: 2 }, /unknown key "?T"?; allowed keys: teacher, columns, loss, temperature, alpha/],
  ] as const) {
    assert.throws(() => parseTrainerConfig({ distillation }, 'trainer'), said)
    assert.throws(() => parseTrainerConfig({ stages: [{ distillation }] }, 'trainer'), /stages\[0\]/)
  }
})

test.after(() => {
  teacher.free()
  gpu.close()
})
test.run()
