// A checkpoint that training can go on from, to the bit: the model, `trainer_state.json` in transformers' words,
// `optimizer.safetensors`, the settings, and `resume.json` with what else decides the bits that follow.
import { files } from '#files'
import { parseTrainerConfig, type ResolvedTrainerConfig } from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { readJson } from '../data/files.ts'
import { openSafetensors, type SafetensorsFile, type TensorStream } from '../data/safetensors-file.ts'
import { CheckpointError, ConfigError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { bitsKey, choicesOf, setChoices } from '../kernels/tuning.ts'
import type { Model } from '../models/index.ts'
import type { RngState } from '../nn/index.ts'
import type { GradScaler, GradScalerState, Optimizer, StateTensor } from '../optim/index.ts'
import type { Ranks } from '../ranks/index.ts'
import { type FiguresByName, figuresOfRun, metricOf, reconsiderBest } from './best-metric.ts'
import { loadWeights, modelFiles } from './checkpoint.ts'
import { findCheckpoint, listCheckpoints, WEIGHTS_FILE, writeFolder } from './checkpoint-folder.ts'
import { readPieces, writePieces } from './device-tensors.ts'
import { checkFingerprints, checkOrder, type Fingerprints } from './fingerprint.ts'
import type { LossState } from './loss-log.ts'
import { checkModel, checkSettings, type Reads, readsOf } from './resume-check.ts'
import { parseResumePoint, parseTrainerState } from './saved-state.ts'
import { judgedSince, type StageRows } from './stage-data.ts'
import type { Position, Stage } from './stages.ts'
import { checkPrint } from './teacher.ts'
import type { CheckedOptions } from './trainer-options.ts'
import type { TrainerState } from './trainer-state.ts'

const { basename, dirname, join } = files
const STATE_FILE = 'trainer_state.json'
/** The trainer's settings, as a run was started with them. */
export const ARGUMENTS_FILE = 'training_args.json'
const OPTIMIZER_FILE = 'optimizer.safetensors'
const RESUME_FILE = 'resume.json'
const FORMAT = 1

/** What `resume.json` holds. */
interface ResumePoint {
  format: typeof FORMAT
  /** Adapter, driver and library version. */
  adapter: string
  /** The next micro-batch. A checkpoint is saved between optimizer steps, so this is where an accumulation window starts. */
  next: Position
  /** Steps the stage's optimizer has taken, those a scaler made void included. */
  optimizer_steps: number
  scaler: GradScalerState | null
  /** Seed of the dropout masks, and how many have been drawn. */
  rng: RngState
  losses: LossState
  data: Fingerprints
  /** Processes that trained together, where there were several. */
  ranks?: number
  /** Columns and label that are read; older versions did not note them. */
  reads?: Reads
}

/** What a running trainer puts into a checkpoint. */
export interface Running {
  model: Model
  optimizer: Optimizer
  scaler: GradScaler | undefined
  state: TrainerState
  config: ResolvedTrainerConfig
  next: Position
  losses: LossState
  data: Fingerprints
  /** Processes that train together. */
  ranks: number
}

/**
 * Saves a checkpoint, whole or not at all. Large tensors pass through the host a piece at a time.
 * @throws CheckpointError when the file system refuses; older checkpoints are as they were.
 */
export async function saveCheckpoint(folder: string, running: Running): Promise<void> {
  const { model, optimizer, scaler, state, config, next, losses, data, ranks } = running
  const point: ResumePoint = {
    format: FORMAT,
    adapter: bitsKey(model.gpu),
    next,
    optimizer_steps: optimizer.stepCount,
    scaler: scaler ? await scaler.read() : null,
    rng: { ...model.rng },
    losses,
    data,
    reads: readsOf(model.inputs),
    ...(ranks > 1 ? { ranks } : {}),
  }
  await writeFolder(folder, [
    ...modelFiles(model),
    { name: OPTIMIZER_FILE, tensors: stateTensors(model, optimizer) },
    { name: STATE_FILE, json: state },
    { name: ARGUMENTS_FILE, json: config },
    { name: RESUME_FILE, json: point },
  ])
}

/** All that is kept of the trained parameters, under torch's names: `state.<parameter>.exp_avg`. */
function* states(model: Model, optimizer: Optimizer): Generator<StateTensor> {
  const trained = new Set(optimizer.groups.flatMap(({ params }) => params))
  for (const [name, parameter] of model.namedParameters()) {
    if (!trained.has(parameter)) continue
    for (const tensor of optimizer.stateOf(parameter))
      yield { ...tensor, name: `state.${name}.${tensor.name}` }
  }
}

function stateTensors(model: Model, optimizer: Optimizer): TensorStream[] {
  return [...states(model, optimizer)].map(({ name, shape, parts }) => ({
    name,
    dtype: 'F32',
    shape,
    chunks: readPieces(model.gpu, parts),
  }))
}

/** A checkpoint that was read: the model holds its weights. */
export interface Resumed {
  folder: string
  state: TrainerState
  point: ResumePoint
}

/** An optimizer's file holds exactly what it keeps of the `trained` parameters. */
function checkStates({ path, tensors }: SafetensorsFile, wanted: StateTensor[], trained: Set<string>): void {
  const names = new Set(wanted.map(({ name }) => name))
  for (const name of tensors.keys()) {
    if (names.has(name)) continue
    const what = trained.has(name.replace(/^state\.|\.[^.]*$/g, ''))
      ? "is nothing that this run's optimizer keeps; a run can only go on with the optimizer it began with"
      : 'is of a parameter that is not trained now; a run can only go on training the same ones'
    throw new CheckpointError(`${path}: tensor '${name}' ${what}`)
  }
  for (const { name, shape } of wanted) {
    const info = tensors.get(name)
    if (info?.shape.join() !== shape.join())
      throw new CheckpointError(
        `${path}: tensor '${name}' ${info ? `has shape [${info.shape}]` : 'is missing'}, expected [${shape}]`,
      )
  }
}

/** Gives an optimizer and a scaler, made as they were when the checkpoint was saved, their state. */
export async function loadOptimizer(
  { folder, point }: Resumed,
  model: Model,
  { optimizer, scaler }: Pick<Running, 'optimizer' | 'scaler'>,
): Promise<void> {
  const path = join(folder, OPTIMIZER_FILE)
  const file = await openSafetensors(path)
  try {
    const wanted = [...states(model, optimizer)]
    const trained = new Set(
      [...model.namedParameters()].flatMap(([name, { requiresGrad }]) => (requiresGrad ? name : [])),
    )
    checkStates(file, wanted, trained)
    for (const { name, parts } of wanted) await writePieces(model.gpu, parts, file, name)
  } finally {
    await file.close()
  }
  optimizer.loadState(point.optimizer_steps)
  if (scaler && point.scaler) scaler.load(point.scaler)
}

/** {@link resume} where a run is to go on: `from` is a folder, or true for that of the run. */
export async function resumeRun(
  from: boolean | string,
  { model, config, output, plan, rows, ranks, onWarning = console.warn }: CheckedOptions,
  data: Fingerprints,
): Promise<Resumed | undefined> {
  if (from === false) return undefined
  const folder = from === true ? output : from
  if (folder === undefined)
    throw new ConfigError('resumeFromCheckpoint is true, and there is no output folder to look in')
  // Told once.
  const warn = ranks.rank === 0 ? onWarning : () => {}
  return resume(folder, { model, config, data, output, plan, rows, ranks }, warn)
}

/**
 * Finds the checkpoint to go on from, checks that model, settings and data are those of its run, and loads the model.
 * @param from A checkpoint, or a run's folder: its newest whole checkpoint.
 * @throws CheckpointError, ConfigError or DataError naming what does not fit; nothing has been changed on disk.
 */
async function resume(
  from: string,
  {
    model,
    config,
    data,
    output,
    plan,
    rows,
    ranks,
  }: Pick<Running, 'model' | 'config' | 'data'> & {
    ranks: Ranks
    output?: string
    plan: readonly Stage[]
    rows: readonly StageRows[]
  },
  warn: (message: string) => void,
): Promise<Resumed> {
  const folder = await findCheckpoint(from, warn)
  const read = (name: string) => readJson(join(folder, name))
  const saved = await read(RESUME_FILE)
  if (isObject(saved) && saved.format !== FORMAT)
    throw new CheckpointError(`${folder}: ${RESUME_FILE} has format ${saved.format}, expected ${FORMAT}`)
  const point = parseResumePoint(saved, join(folder, RESUME_FILE)) as ResumePoint
  checkFingerprints(point.data.train, data.train, folder)
  checkFingerprints(point.data.evaluation, data.evaluation, folder)
  checkOrder(point.data.order, data.order, folder)
  for (const [i, own] of (data.stages ?? []).entries()) {
    checkOrder(point.data.stages?.[i]?.order, own?.order, folder)
    for (const of of ['train', 'evaluation'] as const)
      checkFingerprints(point.data.stages?.[i]?.[of] ?? [], own?.[of] ?? [], folder)
  }
  for (const [i, teacher] of (data.teachers ?? []).entries())
    checkPrint(point.data.teachers?.[i], teacher, `${folder} was saved`)
  await checkModel(folder, { model, reads: point.reads }, warn)
  // Settings that did not exist yet when the checkpoint was saved had what is their default now.
  const then = { ...parseTrainerConfig({}, 'defaults'), ...((await read(ARGUMENTS_FILE)) as object) }
  checkSettings(then, config, folder, warn, [point.ranks ?? 1, ranks.size])
  const state = parseTrainerState(await read(STATE_FILE), join(folder, STATE_FILE))
  const stage = plan[point.next.stage]
  if (!stage)
    throw new CheckpointError(
      `${folder}: ${RESUME_FILE} names stage ${point.next.stage}, the run has ${plan.length}`,
    )
  useChoices(model.gpu, state, point, folder, warn)
  await loadWeights(model, join(folder, WEIGHTS_FILE))
  Object.assign(model.rng, point.rng)
  state.kernel_choices = choicesOf(model.gpu)
  const best = state.best_model_checkpoint
  const runs = output === undefined ? [dirname(folder)] : [output, dirname(folder)]
  if (best) state.best_model_checkpoint = await sameCheckpoint(best, runs)
  const { config: settings, firstStep } = stage
  const figures = figuresOfRun(model, settings)
  const since = judgedSince(plan, rows, stage.index)
  if (reconsiderBest(state, settings, firstStep, figures, since)) {
    state.best_model_checkpoint = await bestSaved(state, settings, runs, figures, since)
    const { best_metric, best_global_step } = state
    warn(
      `${folder} took another evaluation for the best: by ${metricOf(settings)} it is step ${best_global_step}, ${best_metric}` +
        (state.best_model_checkpoint
          ? `; kept is ${state.best_model_checkpoint}`
          : ', of which nothing is kept'),
    )
  }
  return { folder, state, point }
}

/** Of the checkpoints that are left, the one with the best evaluation. */
async function bestSaved(
  state: TrainerState,
  config: ResolvedTrainerConfig,
  runs: readonly string[],
  figures: FiguresByName,
  since: number,
): Promise<string | null> {
  const saved = new Map<number, string>()
  for (const run of runs)
    for (const { step, folder } of await listCheckpoints(run)) if (!saved.has(step)) saved.set(step, folder)
  const left = { ...state, log_history: state.log_history.filter(({ step }) => saved.has(step)) }
  reconsiderBest(left, config, 0, figures, since)
  return saved.get(left.best_global_step ?? -1) ?? null
}

/** The checkpoint of that name in the first of the run's folders that holds it: one may have been moved, or be new. */
async function sameCheckpoint(saved: string, runs: readonly string[]): Promise<string | null> {
  for (const run of runs) {
    const found = (await listCheckpoints(run)).find(({ folder }) => basename(folder) === basename(saved))
    if (found) return found.folder
  }
  return null
}

/** The forms of kernels that the run began with are used again; elsewhere they mean nothing, and the bits may differ. */
function useChoices(
  gpu: Gpu,
  { kernel_choices }: TrainerState,
  { adapter }: ResumePoint,
  folder: string,
  warn: (message: string) => void,
): void {
  if (adapter === bitsKey(gpu)) setChoices(gpu, kernel_choices)
  else
    warn(
      `${folder} was saved on another adapter or version (${adapter}; here ${bitsKey(gpu)}): the last bits of the weights may differ`,
    )
}
