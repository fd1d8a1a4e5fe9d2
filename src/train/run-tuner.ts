// Kernel forms that a run times by itself: before its first step, and while it goes on, within a share of its time. What is found before the
// first step is taken by this run; what is found later is kept for the next one, because a run sums in one order from its first step to its last.

import { isHooked, tableHooks } from '../autograd/hooks.ts'
import { autocast, type Parameter, scope, type Tensor } from '../autograd/index.ts'
import { collate, type Dataset } from '../data/index.ts'
import { unitsOf } from '../data/lists.ts'
import { OutOfMemoryError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import type { AnyBatch, Inputs } from '../inputs.ts'
import { collectShapes, type MatmulShape, shapesMet } from '../kernels/matmul.ts'
import { candidates, shapeClass } from '../kernels/matmul-forms.ts'
import { probeMatrixUnits } from '../kernels/matmul-probe.ts'
import { ClassTimer, type Measure, type TunedClass } from '../kernels/matmul-tuning.ts'
import { type Choices, choicesOf, keepChoices, settleChoices, tuningOf } from '../kernels/tuning.ts'
import type { Model } from '../models/index.ts'
import { BatchNorm1d } from '../nn/index.ts'
import { checkLoss } from './broken-loss.ts'
import { batchesOf, type Stage } from './stages.ts'
import type { TrainerState } from './trainer-state.ts'

/** Of a run's time, what timing may take. */
const SHARE = 0.02
/** Before the first step, of the time that the run is thought to take: a busy machine may be idle later, and steps overlap as passes do not. */
const SETTLING = SHARE / 2
/** Two passes tell what a run meets and how long it takes: half of that share, of so many. */
const LEAST_PASSES = 400
/** What compiling a form and timing it may take, until it is known: lavapipe needs half a second for a large tile. */
const FORM_MS = 1000
/** Forms of a class that are timed: those the table wants most. */
const FORMS = 8

/** What a run is tuned with; tests have a clock of their own. */
export interface RunTunerOptions {
  gpu: Gpu
  /** Where it is noted what is in use, and what was found. */
  state: Pick<TrainerState, 'kernel_choices' | 'kernel_tuning'>
  warn: (message: string) => void
  now?: () => number
  measure?: Measure
}

const tried = new WeakMap<Gpu, Set<string>>()

export class RunTuner {
  readonly #gpu: Gpu
  readonly #state: RunTunerOptions['state']
  readonly #warn: (message: string) => void
  readonly #now: () => number
  readonly #measure: Measure | undefined
  /** When the run began, and the milliseconds that timing has taken. */
  readonly #began: number
  #spent = 0
  /** Of those, what stands in the state. */
  #noted = 0
  /** What a step that compiles took at most. */
  #formMs = FORM_MS
  /** Classes that are being timed. */
  readonly #timers = new Map<string, ClassTimer>()
  /** Classes that were timed on this device. */
  readonly #tried: Set<string>
  #active: boolean

  constructor({ gpu, state, warn, now = () => performance.now(), measure }: RunTunerOptions) {
    this.#gpu = gpu
    this.#state = state
    this.#warn = warn
    this.#now = now
    this.#measure = measure
    this.#began = now()
    this.#tried = tried.get(gpu) ?? new Set()
    tried.set(gpu, this.#tried)
    this.#active = tuningOf() === 'on'
  }

  /**
   * Before the first step: times forms for the products of a pass, within the share of the time that `passes` of them will take, and has them
   * used from now on. A short run is left alone.
   * @param pass Records a forward and backward pass that changes nothing, and returns its products' shapes.
   */
  async settle(passes: number, pass: () => MatmulShape[]): Promise<void> {
    if (!this.#active || passes < LEAST_PASSES) return
    const compiling = await this.#timed(pass)
    // The pass is at most as long, so this is the most that there may be to spend.
    if (SETTLING * passes * compiling.ms < 2 * FORM_MS) {
      this.#spent += compiling.ms
      this.#note()
      return
    }
    const { ms, result: shapes } = await this.#timed(pass)
    this.#spent += 2 * ms // the first one compiled what the run needs anyway
    const budget = SETTLING * passes * ms
    const found = await this.#tune(shapes, () => budget - this.#spent)
    if (!found.length) return
    settleChoices(this.#gpu, choicesFrom(found))
    this.#state.kernel_choices = choicesOf(this.#gpu)
    this.#state.kernel_tuning.settled = found.length
    await this.#keep(found)
  }

  /** While the run goes on: times forms for what it has met, for later runs, where the share of the time so far allows it. */
  async later(): Promise<void> {
    if (!this.#active) return
    const left = () => SHARE * (this.#now() - this.#began) - this.#spent
    if (left() < FORM_MS) return
    const found = await this.#tune(shapesMet(this.#gpu), left)
    if (!found.length) return
    this.#state.kernel_tuning.kept_for_later += found.length
    await this.#keep(found)
  }

  async #timed<T>(record: () => T): Promise<{ ms: number; result: T }> {
    const begun = this.#now()
    const result = record()
    await this.#gpu.done()
    return { ms: this.#now() - begun, result }
  }

  /** A run that goes on from a checkpoint has taken some before. */
  #note(): void {
    const { kernel_tuning } = this.#state
    kernel_tuning.seconds = Math.round(kernel_tuning.seconds * 1000 + this.#spent - this.#noted) / 1000
    this.#noted = this.#spent
  }

  /** Goes on timing classes of shapes, those with the most work first, while there is time left for the next step. */
  async #tune(shapes: readonly MatmulShape[], left: () => number): Promise<TunedClass[]> {
    const found: TunedClass[] = []
    await this.#gpu.done() // what went wrong before is not about tuning
    for (const [name, shape] of this.#unknown(shapes)) {
      let timer = this.#timers.get(name)
      if (!timer) {
        timer = new ClassTimer(this.#gpu, shape, {
          measure: this.#measure,
          most: FORMS,
          onRefused: (form, error) =>
            this.#warn(
              `the form '${form}' of matrix products does not run here, and is passed over: ${error.message}`,
            ),
        })
        this.#timers.set(name, timer)
      }
      while (this.#active && !timer.result && left() >= (timer.nextMs ?? this.#formMs))
        await this.#step(timer)
      if (!timer.result) break
      found.push(timer.result)
      this.#timers.delete(name)
      this.#tried.add(name)
    }
    this.#note()
    return found
  }

  async #step(timer: ClassTimer): Promise<void> {
    const begun = this.#now()
    const compiles = timer.nextMs === undefined
    try {
      await timer.step()
    } catch (error) {
      // A run that only just fits goes on as it is.
      if (!(error instanceof OutOfMemoryError)) throw error
      this.#active = false
    } finally {
      const ms = this.#now() - begun
      this.#spent += ms
      if (compiles) this.#formMs = Math.max(this.#formMs, ms)
    }
  }

  /** One shape of each class that has several forms and no choice: what is begun first, then the most work. */
  #unknown(shapes: readonly MatmulShape[]): [name: string, shape: MatmulShape][] {
    const known = this.#state.kernel_choices
    const classes = new Map<string, { shape: MatmulShape; work: number }>()
    for (const shape of shapes) {
      const name = shapeClass(shape)
      if (name in known || this.#tried.has(name)) continue
      const work = shape.M * shape.N * shape.K
      const entry = classes.get(name)
      if (entry) entry.work += work
      else if (work > 0 && candidates(this.#gpu, shape).length > 1) classes.set(name, { shape, work })
    }
    const begun = (name: string) => Number(this.#timers.has(name))
    return [...classes]
      .sort(([a, x], [b, y]) => begun(b) - begun(a) || y.work - x.work)
      .map(([name, { shape }]) => [name, shape])
  }

  /** What cannot be kept is used all the same, and the run goes on. */
  async #keep(found: readonly TunedClass[]): Promise<void> {
    try {
      await keepChoices(this.#gpu, choicesFrom(found))
    } catch (error) {
      this.#warn(`${(error as Error).message}; later runs will time the same again`)
      this.#active = false
    }
  }
}

const choicesFrom = (found: readonly TunedClass[]): Choices =>
  Object.fromEntries(found.map(({ shapeClass, form }) => [shapeClass, form]))

/** What a pass reads, and what of. */
export interface Trained {
  inputs: Inputs
  loss: (batch: AnyBatch) => Tensor
}

/**
 * A forward and backward pass over rows of data that leaves weights, gradients and random state as they are; returns the shapes of its products.
 */
export function passOver(
  model: Model,
  data: Dataset,
  rows: Uint32Array,
  { truncate, fp16 }: { truncate: boolean; fp16: boolean },
  { inputs = model.inputs, loss = batch => checkLoss(model, model.loss(batch)) }: Partial<Trained> = {},
): () => MatmulShape[] {
  const batch: AnyBatch = collate(data, rows, inputs, { truncate })
  return () => {
    const { step } = model.rng
    // Their running statistics would move; what is multiplied is the same either way.
    const norms = [...model.namedModules()].flatMap(([, module]) =>
      module instanceof BatchNorm1d && module.training ? [module] : [],
    )
    for (const norm of norms) norm.training = false
    try {
      return collectShapes(model.gpu, () =>
        scope(() => autocast(fp16 ? 'f16' : 'f32', () => loss(batch)).backward()),
      )
    } finally {
      model.zeroGrad()
      model.rng.step = step
      for (const norm of norms) norm.training = true
    }
  }
}

/** Tries the device's matrix units, where it has some, and settles the forms of a run that begins with a stage, for what its first batch meets. */
export async function settleForms(
  tuner: RunTuner,
  model: Model,
  data: Dataset,
  stage: Stage,
  trained: Trained,
  begins: boolean,
): Promise<void> {
  await probeMatrixUnits(model.gpu)
  if (!begins) return
  // Who has hooks counts gradients, or changes them: one more pass would be seen.
  if ([...model.parameters()].some(hasHooks)) return
  const { config, steps, firstEpoch } = stage
  const { early_stopping_patience: patience, eval_steps } = config
  const surely = patience ? Math.min(steps, patience * (eval_steps ?? stage.stepsPerEpoch)) : steps
  const units = unitsOf(data, model.inputs)
  let pass: (() => MatmulShape[]) | undefined
  await tuner.settle(surely * config.gradient_accumulation_steps, () => {
    pass ??= passOver(model, data, batchesOf(units, config, firstEpoch, [0, 1]), config, trained)
    return pass()
  })
}

const hasHooks = (parameter: Parameter): boolean =>
  'shards' in parameter ? tableHooks.has(parameter) : isHooked(parameter)
