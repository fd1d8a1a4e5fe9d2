// Whole runs of the trainer against the transformers Trainer's own: log history, checkpoints kept, best step, final weights.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainingConfig } from '../../src/config/index.ts'
import { readJson } from '../../src/data/files.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { createModel } from '../../src/models/index.ts'
import { type LogEntry, loadWeights, Trainer, type TrainerState } from '../../src/train/index.ts'
import { type CaseConfig, drift, modelConfig, need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

const START_FILE = 'weights.safetensors'
const RUNS = ['constant', 'linear_warmup'] as const

export interface TrainerCase {
  config: CaseConfig
  batch: number
  eval_batch: number
  accumulate: number
  epochs: number
  lr_encoder: number
  lr_other: number
  logging_steps: number
  eval_steps: number
  save_steps: number
  save_total_limit: number
}

/** What transformers' run left behind. */
interface FrozenRun {
  log_history: LogEntry[]
  best_metric: number
  best_global_step: number
  global_step: number
  kept: string[]
  schedule: string
  warmup_steps: number
}

/** Trains as the case says, once per schedule, rows in file order and dropout off. */
export async function checkTrainerCase(gpu: Gpu, folder: string, frozen: TrainerCase): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const run of RUNS) {
    const expected = (await readJson(join(folder, `${run}.json`))) as FrozenRun
    findings.push(...(await checkRun(gpu, folder, frozen, run, expected)))
  }
  return findings
}

async function checkRun(
  gpu: Gpu,
  folder: string,
  frozen: TrainerCase,
  run: (typeof RUNS)[number],
  expected: FrozenRun,
): Promise<Finding[]> {
  const name = `${basename(folder)}/${run}`
  const { trainer, ...config } = parseTrainingConfig(
    {
      ...modelConfig(frozen.config, 'TextTabularModel'),
      trainer: {
        num_train_epochs: frozen.epochs,
        per_device_train_batch_size: frozen.batch,
        per_device_eval_batch_size: frozen.eval_batch,
        gradient_accumulation_steps: frozen.accumulate,
        learning_rate: frozen.lr_other,
        encoder_learning_rate: frozen.lr_encoder,
        lr_scheduler_type: expected.schedule,
        warmup_steps: expected.warmup_steps,
        logging_steps: frozen.logging_steps,
        eval_steps: frozen.eval_steps,
        save_steps: frozen.save_steps,
        save_total_limit: frozen.save_total_limit,
        shuffle: false,
      },
    },
    join(folder, 'case.json'),
  )
  const train = await readRows([join(folder, 'train.parquet')], createModel(config), trainer)
  const evaluation = await readRows([join(folder, 'test.parquet')], createModel(config), trainer)
  const output = mkdtempSync(join(tmpdir(), 'kernelgrad-parity-'))
  const model = createModel(config).to(gpu)
  try {
    await loadWeights(model, join(folder, START_FILE))
    const state = await new Trainer({ model, config: trainer, train, evaluation, output }).train()
    const [start, final] = [
      await readTensors(join(folder, START_FILE)),
      await readTensors(join(folder, `${run}.final.safetensors`)),
    ]
    const check = new Check(`${name}/final`, 5e-3)
    for (const [key, parameter] of model.namedParameters()) {
      // Its true gradient is zero, so Adam amplifies noise.
      if (key.endsWith('k_lin.bias')) continue
      check.add(key, await drift(parameter, need(start, key).data, need(final, key).data))
    }
    return [
      ...checkHistory(state, expected, name),
      ...checkKept(state, output, expected, name),
      ...check.done(),
    ]
  } finally {
    model.free()
    rmSync(output, { recursive: true })
  }
}

/** Steps, epochs and learning rates are equal; what was computed on the device has the bound. */
const EXACT = ['step', 'epoch', 'learning_rate']

function checkHistory(state: TrainerState, expected: FrozenRun, name: string): Finding[] {
  const check = new Check(`${name}/log_history`, 1e-4)
  const counted = new Check(`${name}/steps and rates`, 0)
  const entries = state.log_history.length
  counted.add(
    `${entries} entries, expected ${expected.log_history.length}`,
    Math.abs(entries - expected.log_history.length),
  )
  for (const [i, entry] of expected.log_history.entries()) {
    const own = state.log_history[i] ?? ({} as LogEntry)
    // An evaluation may hold more metrics than the frozen one, and a rate stands beside the others' by kind; nothing else may stand in an entry.
    const more = Object.keys(own).filter(key => !(key in entry) && !/^(eval|learning_rate)_/.test(key))
    if (more.length) counted.add(`entry ${i} has ${more}`, Number.POSITIVE_INFINITY)
    for (const [key, value] of Object.entries(entry))
      (EXACT.includes(key) ? counted : check).figure(`${key} of step ${entry.step}`, own[key]!, value)
  }
  check.figure('best_metric', state.best_metric!, expected.best_metric)
  return [...check.done(), ...counted.done()]
}

function checkKept(state: TrainerState, output: string, expected: FrozenRun, name: string): Finding[] {
  const check = new Check(`${name}/checkpoints`, 0)
  const same = (what: string, own: unknown, frozen: unknown) =>
    check.add(`${what} ${own}, expected ${frozen}`, String(own) === String(frozen) ? 0 : 1)
  same('kept', readdirSync(output).sort(), expected.kept)
  same('best_global_step', state.best_global_step, expected.best_global_step)
  same('global_step', state.global_step, expected.global_step)
  return check.done()
}
