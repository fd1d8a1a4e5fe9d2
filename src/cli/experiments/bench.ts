// Where an experiment trains with one seed: a device, a folder, and the trainings that were made in it.
import { join } from 'node:path'
import { files } from '#files'
import { writeJson } from '../../data/files.ts'
import type { Gpu } from '../../gpu/index.ts'
import { createModel, parseRunConfig } from '../../models/index.ts'
import { type RunReport, trainingReads } from '../../train/index.ts'
import { ARGUMENTS_FILE } from '../../train/trainer-checkpoint.ts'
import { fit, saveResult } from '../fit.ts'
import { readJudged, readRows } from '../inputs.ts'

/** What an experiment's trainings with one seed share. */
export interface Bench {
  gpu: Gpu
  /** Of the rows that are drawn, the weights and the order. */
  seed: number
  /** Of the rows and of a folder for each training. */
  folder: string
  /** Less of everything: seconds, where the whole takes minutes. */
  quick: boolean
  stream: NodeJS.WriteStream
  /** Of the trainings so far, in order. */
  reports: RunReport[]
}

/** A training: a configuration as `train --config` reads it, and the files. */
export interface Training {
  /** Of its folder, and in the report. */
  name: string
  config: object
  trainer: object
  train: string
  evaluation?: string
  /** How much places are looked at beside the first, where that is planted: for the report. */
  propensities?: readonly number[]
}

/** What is the same for all: one evaluation, at the end, of the weights at the end. */
const TRAINER = {
  gradient_accumulation_steps: 1,
  eval_steps: null,
  save_steps: null,
  logging_steps: 20,
  load_best_model_at_end: false,
}

/**
 * Trains a model and saves it with its report into a folder of the training's name.
 * @returns the folder, and the figures of its evaluation.
 */
export async function trained(
  bench: Bench,
  { name, config, trainer: settings, train, evaluation, propensities }: Training,
): Promise<{ folder: string; metrics: Record<string, number> }> {
  const { gpu, seed, stream } = bench
  const folder = join(bench.folder, name)
  const own = { ...TRAINER, seed, ...settings }
  const { trainer, ...model } = parseRunConfig({ ...config, trainer: own }, `${folder}: configuration`)
  stream.write(`\n${name}, seed ${seed}\n`)
  const made = createModel(model)
  await files.makeFolder(folder)
  await writeJson(join(folder, ARGUMENTS_FILE), trainer)
  const fitted = await fit({
    gpu,
    config: model,
    trainer,
    train: await readRows([train], made, trainer, await trainingReads(made, trainer)),
    evaluation: evaluation === undefined ? undefined : await readJudged([evaluation], made, trainer),
    stream,
    name,
    propensities,
  })
  await saveResult(fitted, folder)
  fitted.model.free()
  bench.reports.push(fitted.report)
  return { folder, metrics: fitted.metrics ?? {} }
}
