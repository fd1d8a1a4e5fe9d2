// What a student is trained on beside its teacher: which teacher is on the device, and the loss of a batch.
import { autocast, noGrad, scope, type Tensor, tensor } from '../autograd/index.ts'
import type { DistillationConfig, ResolvedTrainerConfig } from '../config/index.ts'
import { expectInputs } from '../data/check-columns.ts'
import { checkValues } from '../data/check-values.ts'
import { collate } from '../data/index.ts'
import { checkTextLengths } from '../data/place.ts'
import { ConfigError } from '../errors.ts'
import type { AnyBatch, Inputs } from '../inputs.ts'
import { distillation, mixed } from '../losses/index.ts'
import { inEval } from '../models/in-eval.ts'
import type { Model } from '../models/index.ts'
import { checkLoss } from './broken-loss.ts'
import { loadFrozen } from './checkpoint.ts'
import { expectLogits, logitsOf } from './predict.ts'
import type { StageRows } from './stage-data.ts'
import { planStages, type Stage } from './stages.ts'
import {
  checkPrint,
  describeTeacher,
  describeTeachers,
  nameOf,
  printOf,
  type Reads,
  readsFor,
  stagesReading,
  type TeacherPrint,
} from './teacher.ts'

/** The lessons of one run. Without distillation there are none, and batches are as the model reads them. */
export class Lessons {
  readonly #model: Model
  readonly #config: ResolvedTrainerConfig
  readonly #rows: readonly StageRows[]
  readonly #plan: Stage[]
  /** By stage; stages that are trained on the same rows read the same. */
  #reads: Reads[]
  #stage = 0
  /** The teacher on the device. */
  #teacher: { folder: string; model: Model } | undefined
  #settings: DistillationConfig | null = null
  /** The teachers as they were when the run began, or when it was first told of them. */
  prints: TeacherPrint[] = []

  /** @throws ConfigError or DataError for what shows without a teacher: no logits, columns that are not there */
  constructor(model: Model, config: ResolvedTrainerConfig, rows: readonly StageRows[]) {
    this.#model = model
    this.#config = config
    this.#rows = rows
    this.#plan = planStages(config, 1)
    if (this.#plan.some(stage => stage.config.distillation)) expectLogits('distillation', model)
    this.#reads = this.#readsWith(new Map())
    this.#checkData()
  }

  /** What a loader reads for a batch of the stage that has begun. */
  get inputs(): Inputs {
    return this.#reads[this.#stage]!.inputs
  }

  #readsWith(teachers: Map<string, Model>): Reads[] {
    const of = (own: number | undefined) => readsFor(this.#model, stagesReading(this.#plan, own), teachers)
    const shared = of(undefined)
    return this.#plan.map(({ index, files }) => (files.train ? of(index) : shared))
  }

  /** Loads every teacher once, and holds it and columns of logits against student and data. */
  async prepare(): Promise<void> {
    const described = await describeTeachers(this.#plan)
    this.#reads = this.#readsWith(described)
    this.#checkData()
    if (!this.#config.truncate) this.#eachData(({ train }, { inputs }) => checkTextLengths(train, inputs))
    for (const [folder, teacher] of described) this.prints.push(await printOf(folder, teacher))
    for (const stage of this.#plan) {
      if (!stage.config.distillation) continue
      await this.begin(stage)
      this.#checkLogits()
    }
  }

  /** Has the teacher of a stage on the device, and no other. @throws DataError where its files have changed */
  async begin({ config, index }: Pick<Stage, 'config' | 'index'>): Promise<void> {
    this.#stage = index
    this.#settings = config.distillation
    const folder = config.distillation?.teacher
    if (this.#teacher && this.#teacher.folder !== folder) this.close()
    if (folder === undefined) return
    const described = await describeTeacher(folder)
    const print = await printOf(folder, described)
    checkPrint(
      this.prints.find(one => one.folder === folder),
      print,
      'this run began',
    )
    if (this.#teacher) return
    this.#teacher = { folder, model: await loadFrozen(this.#model.gpu, folder) }
    // What was read is what was marked.
    checkPrint(print, await printOf(folder, described), 'this run began')
  }

  /** [1], what a batch is trained on: as the stage says, or the model's own loss. */
  readonly loss = (batch: AnyBatch): Tensor => {
    const settings = this.#settings
    if (!settings) return checkLoss(this.#model, this.#model.loss(batch))
    const { loss, temperature, alpha } = settings
    const teacher = this.#teacherLogits(settings, batch)
    const logits = logitsOf(this.#model, batch)
    const soft = distillation(logits, teacher, { loss, temperature })
    if (alpha === 1) return soft
    const own = this.#model.lossOf?.(logits, batch) ?? this.#model.loss(batch)
    return mixed(soft, checkLoss(this.#model, own), alpha)
  }

  /** What the loss of a batch is a mean over, where the model says that this is not its rows. */
  count(batch: AnyBatch): number | 'sum' | undefined {
    return this.#settings ? undefined : this.#model.lossCount?.(batch)
  }

  /** Takes the teacher from the device. */
  close(): void {
    this.#teacher?.model.free()
    this.#teacher = undefined
  }

  /** [rows, C], a constant. */
  #teacherLogits({ columns }: DistillationConfig, batch: AnyBatch): Tensor {
    const { gpu } = this.#model
    if (!this.#teacher) {
      const values = batch[this.#reads[this.#stage]!.columns.get(columns!.join())!] as Record<
        string,
        Float32Array
      >
      const all = new Float32Array(batch.size * columns!.length)
      for (const [c, name] of columns!.entries())
        for (let b = 0; b < batch.size; b++) all[b * columns!.length + c] = values[name]![b]!
      return tensor(gpu, all, [batch.size, columns!.length])
    }
    const { folder, model } = this.#teacher
    const names = this.#reads[this.#stage]!.names.get(folder)!
    const own: AnyBatch = { size: batch.size, rows: batch.rows }
    for (const [name, key] of Object.entries(names)) own[name] = batch[key]
    // In float32 whatever the student trains in, as when its logits are written into a file.
    return inEval(model, () => scope(() => noGrad(() => autocast('f32', () => logitsOf(model, own)))))
  }

  /** What the training data must hold beside what the model reads. */
  #checkData(): void {
    this.#eachData(({ train }, { inputs }, where) => {
      expectInputs(where, train, inputs, 'distillation')
      const mine = Object.entries(inputs).filter(([name]) => !Object.hasOwn(this.#model.inputs, name))
      checkValues(where, train, Object.fromEntries(mine), 'distillation')
    })
  }

  /** Once for the rows that stages share, and for each stage with rows of its own. */
  #eachData(use: (rows: StageRows, reads: Reads, where: string) => void): void {
    const seen = new Set<Reads>()
    for (const { index, files } of this.#plan) {
      const reads = this.#reads[index]!
      if (seen.has(reads)) continue
      seen.add(reads)
      use(this.#rows[index]!, reads, files.train ? `Trainer: stageData[${index}].train` : 'Trainer: train')
    }
  }

  /** Holds the logits of two rows, where there are, against each other. */
  #checkLogits(): void {
    const { columns, teacher: folder, loss } = this.#settings!
    const { train } = this.#rows[this.#stage]!
    const batch: AnyBatch = collate(train, train.length > 1 ? [0, 1] : [0], this.inputs, { truncate: true })
    inEval(this.#model, () =>
      scope(() =>
        noGrad(() => {
          const [, own = 0] = logitsOf(this.#model, batch).shape
          const [, given = 0] = this.#teacherLogits(this.#settings!, batch).shape
          const whose = folder === undefined ? `columns ${columns!.join(', ')}` : `teacher ${folder}`
          const name = nameOf(this.#model)
          // A column alone may be the margin or one of two: it is taken for one logit by a student of one.
          if (own !== given && (Math.max(own, given) > 2 || (columns && given === 1)))
            throw new ConfigError(
              `distillation: ${whose}: ${given} logits a row, expected ${own}, one for each class of ${name}`,
            )
          if (own > 2 && (loss === 'margin_mse' || loss === 'soft_labels'))
            throw new ConfigError(
              `distillation: loss is '${loss}', and ${name} has ${own} classes, expected 2: it knows one margin`,
            )
        }),
      ),
    )
  }
}
