// A teacher as training reads it: its folder, what it reads of the student's files, and the mark by which it is known again.
import { files } from '#files'
import { shown } from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { isThere } from '../data/files.ts'
import type { ReadOptions } from '../data/index.ts'
import { CheckpointError, ConfigError, DataError } from '../errors.ts'
import type { Input, Inputs } from '../inputs.ts'
import type { Model, ModelClass } from '../models/index.ts'
import { CONFIG_FILE, describeModel } from './checkpoint.ts'
import { CHECKSUMS_FILE, damageOf, hashOf, WEIGHTS_FILE } from './checkpoint-folder.ts'
import { expectLogits } from './predict.ts'
import { planStages, type Stage } from './stages.ts'

const { join } = files

/** A teacher's weights and configuration when training began. @internal */
export interface TeacherPrint {
  folder: string
  sha256: string
}

/** What training reads, and by which names of it each teacher finds its inputs. */
export interface Reads {
  inputs: Inputs
  /** By a teacher's folder: for each of its inputs, the name in a batch. */
  names: Map<string, Record<string, string>>
  /** By its columns' names joined: the input that has a teacher's logits. */
  columns: Map<string, string>
  /** For the teachers' strings. */
  tokenizers: NonNullable<ReadOptions['tokenizers']>
}

/** Folders of the teachers that stages name, in the order of their first use. */
export function teacherFolders(stages: readonly Stage[]): string[] {
  return [...new Set(stages.flatMap(({ config: { distillation } }) => distillation?.teacher ?? []))]
}

/** Whether some stage takes the model's own loss, and so what that reads. */
export const needsLoss = (stages: readonly Stage[]): boolean =>
  stages.some(({ config: { distillation } }) => !distillation || distillation.alpha < 1)

/** The stages that are trained on the same rows: one with files of its own, or all that have none and take the run's. */
export const stagesReading = (plan: readonly Stage[], own: number | undefined): Stage[] =>
  plan.filter(({ index, files }) => (own === undefined ? !files.train : index === own))

/** A teacher by its folder's configuration, on no device. @throws an error naming the folder and what it lacks */
export async function describeTeacher(folder: string): Promise<Model> {
  for (const name of [CONFIG_FILE, WEIGHTS_FILE])
    if (!(await isThere(join(folder, name))))
      throw new CheckpointError(
        `teacher ${folder} holds no ${name}, expected the folder of a trained model; a run has one once it is over, its checkpoints before`,
      )
  if (await isThere(join(folder, CHECKSUMS_FILE))) {
    const damage = await damageOf(folder)
    if (damage !== undefined) throw new CheckpointError(`teacher ${folder} is damaged: ${damage}`)
  }
  const teacher = await describeModel(folder)
  expectLogits(`teacher ${folder}`, teacher)
  return teacher
}

/** The mark of a teacher's files: its weights, configuration and tokenizer, whatever else lies beside them. */
export async function printOf(folder: string, teacher: Model): Promise<TeacherPrint> {
  const hash = files.sha256()
  const names = [CONFIG_FILE, WEIGHTS_FILE, ...Object.keys(teacher.tokenizer?.files ?? {})]
  for (const name of names)
    hash.update(new TextEncoder().encode(`${name} ${await hashOf(join(folder, name))}\n`))
  return { folder, sha256: hash.digest('hex') }
}

/** @throws DataError where a teacher is no longer what it was when training began. */
export function checkPrint(then: TeacherPrint | undefined, now: TeacherPrint, since: string): void {
  if (then?.sha256 === now.sha256) return
  throw new DataError(
    `teacher ${now.folder} has changed since ${since}: its weights or configuration are others; a run can only go on with the teacher it began with`,
  )
}

/**
 * What training reads for some stages: the model's inputs, without those for a loss that none of them takes, the teachers', and
 * columns of logits. What student and teacher read alike is there once.
 * @param teachers by folder; those that are not there yet are passed over.
 */
export function readsFor(model: Model, stages: readonly Stage[], teachers: Map<string, Model>): Reads {
  const loss = needsLoss(stages)
  const own = Object.entries(model.inputs as Inputs).filter(([, { trainOnly }]) => loss || !trainOnly)
  const inputs: Inputs = Object.fromEntries(own)
  const reads: Reads = { inputs, names: new Map(), columns: new Map(), tokenizers: {} }
  for (const folder of teacherFolders(stages)) {
    const teacher = teachers.get(folder)
    if (teacher) reads.names.set(folder, teacherInputs(reads, model, folder, teacher))
  }
  for (const { config: settings } of stages) {
    const { columns } = settings.distillation ?? {}
    if (!columns || reads.columns.has(columns.join())) continue
    reads.columns.set(columns.join(), addInput(inputs, 'teacher logits', { kind: 'floats', columns }))
  }
  return reads
}

function addInput(inputs: Inputs, name: string, input: Input): string {
  let free = name
  for (let i = 2; Object.hasOwn(inputs, free); i++) free = `${name} ${i}`
  inputs[free] = input
  return free
}

function teacherInputs(
  { inputs, tokenizers }: Reads,
  model: Model,
  folder: string,
  teacher: Model,
): Record<string, string> {
  const names: Record<string, string> = {}
  const strings = ({ tokenizer }: Model) => JSON.stringify(tokenizer?.files)
  const foreign = teacher.tokenizer && strings(teacher) !== strings(model) ? folder : undefined
  if (foreign) tokenizers[folder] = teacher.tokenizer!.encode
  for (const [name, given] of Object.entries(teacher.inputs as Inputs)) {
    // What is for its loss alone, a teacher does not need; its text comes before what is drawn of it.
    if (given.trainOnly) continue
    let input: Input = given
    if (input.kind === 'text' && foreign && input.columns.some(({ dtype }) => dtype === 'text'))
      input = { ...input, tokenizer: foreign }
    if (input.kind === 'masked') input = { ...input, of: names[input.of] ?? input.of }
    const same = Object.keys(inputs).find(key => alike(inputs[key]!, input))
    if (same === undefined && input.kind === 'list')
      throw new ConfigError(
        `teacher ${folder} reads lists by ${input.columns.join(', ')}, expected a student that reads the same lists: batches are cut by the student's`,
      )
    names[name] = same ?? addInput(inputs, `teacher ${name}`, input)
  }
  return names
}

const alike = ({ trainOnly: _, ...a }: Input, { trainOnly: __, ...b }: Input): boolean => {
  const sorted = (input: object) => JSON.stringify(Object.entries(input).sort(([x], [y]) => (x < y ? -1 : 1)))
  return sorted(a) === sorted(b)
}

/**
 * How `loadDataset` reads the files to train on for a model and its settings: with `distillation`, they also hold what its teachers
 * read, or their logits, and what the loss of labels reads only where some stage takes it. Without, that is what `model.inputs` say.
 * @param model on a device or not.
 * @param stage of one that names files of its own, `train`: how those are read. Without it, how the run's are, for all other stages.
 * @throws CheckpointError for a teacher's folder that is missing or half written; ConfigError for a student or teacher without logits
 *
 * @example
 * ```ts
 * import { loadDataset, parseTrainerConfig, Trainer } from 'kernelgrad'
 * import { trainingReads } from 'kernelgrad/train'
 *
 * const config = parseTrainerConfig({ distillation: { teacher: 'runs/teacher', temperature: 2 } }, 'trainer')
 * const train = await loadDataset('train.parquet', await trainingReads(model, config))
 * await new Trainer({ model, config, train, evaluation: dataset, output: 'runs/student' }).train()
 * ```
 */
export async function trainingReads(
  model: Model,
  config: ResolvedTrainerConfig,
  stage?: number,
): Promise<ReadOptions> {
  const plan = planStages(config, 1)
  if (plan.some(({ config: { distillation } }) => distillation)) expectLogits('distillation', model)
  if (stage !== undefined && !(Number.isInteger(stage) && plan[stage]?.files.train))
    throw new ConfigError(
      `trainingReads: stage is ${shown(stage)}, expected the number of one of config.stages that names train files`,
    )
  const stages = stagesReading(plan, stage)
  const { inputs, tokenizers } = readsFor(model, stages, await describeTeachers(stages))
  const { tokenizer } = model
  return { inputs, tokenizers, ...(tokenizer ? { tokenize: tokenizer.encode } : {}) }
}

/** The teachers of stages, by folder. */
export async function describeTeachers(stages: readonly Stage[]): Promise<Map<string, Model>> {
  const found = new Map<string, Model>()
  for (const folder of teacherFolders(stages)) found.set(folder, await describeTeacher(folder))
  return found
}

/** What a model is called in messages. */
export const nameOf = (model: Model): string => (model.constructor as ModelClass).architecture
