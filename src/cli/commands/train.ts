import { join } from 'node:path'
import type { ResolvedTrainerConfig } from '../../config/index.ts'
import { isObject } from '../../config/schema.ts'
import { readJson, writeJson } from '../../data/files.ts'
import { parquetFiles, type TextTokenizer } from '../../data/index.ts'
import { openGpu } from '../../gpu/index.ts'
import { createModel, type Model, type ModelConfiguration, tokenizerOf } from '../../models/index.ts'
import { PREPARATION_FILE } from '../../prepare/document.ts'
import type { Ranks } from '../../ranks/index.ts'
import {
  checkWeights,
  formatMetrics,
  type LogEntry,
  lockOutputFolder,
  REPORT_HTML,
  type TeacherEvaluation,
  trainWithRecovery,
  WEIGHTS_FILE,
} from '../../train/index.ts'
import { planStages } from '../../train/stages.ts'
import { teacherFolders } from '../../train/teacher.ts'
import { ARGUMENTS_FILE } from '../../train/trainer-checkpoint.ts'
import { useArchitecture } from '../architecture.ts'
import { fit, resultFiles, runName, saveResult } from '../fit.ts'
import { readRun } from '../inputs.ts'
import { groupsOf, rawColumnsOf } from '../judged.ts'
import { leavesLoggingOut, logOften } from '../log-often.ts'
import { checkOutputs, folderInputs, inputs } from '../outputs.ts'
import { keepPreparation, withPrepared } from '../prepared.ts'
import { planPretraining } from '../pretraining.ts'
import { formatSeconds } from '../progress.ts'
import { onRanks, talkOf } from '../ranked.ts'
import { shown } from '../say.ts'
import { formatTable } from '../table.ts'
import { readTrainingConfig } from '../training-config.ts'

export interface TrainOptions {
  /** A folder of prepare. */
  prepared?: string
  preparation?: string
  config: string
  architecture?: string | undefined
  features?: string
  train?: string[]
  eval?: string[] | undefined
  out: string
  /** true where the option stands without a folder. */
  resume?: string | true | undefined
  teacherArchitecture?: string
  initFrom?: string
  truncate?: boolean
  /** Bytes. */
  memory?: number
  reportTo?: 'tensorboard' | 'none'
  groupBy?: string | undefined
  importance?: number
  adapter?: string
  json?: boolean
}

/** Trains the model of a configuration file, and saves it with its checkpoints; pretrains its encoder first where the file says how. */
export const run = (given: Partial<TrainOptions> & Pick<TrainOptions, 'out'>): Promise<void> =>
  onRanks(ranks => runOn(ranks, given))

async function runOn(ranks: Ranks, given: Partial<TrainOptions> & Pick<TrainOptions, 'out'>): Promise<void> {
  const options = await withPrepared(given)
  const json = await readJson(options.config)
  if (!isObject(json) || json.pretrain === undefined) return trainOne(ranks, options)
  if (options.architecture) await useArchitecture(options.architecture)
  const { pretraining, model } = await planPretraining(json, options)
  if (pretraining)
    await trainOne(
      ranks,
      { ...pretraining.options, architecture: undefined, groupBy: undefined },
      pretraining.json,
    )
  await trainOne(ranks, model.options, model.json)
}

async function trainOne(
  ranks: Ranks,
  options: TrainOptions,
  configuration?: Record<string, unknown>,
): Promise<void> {
  const { out, json, resume } = options
  const note = (text: string) => talkOf(ranks, json).write(`note: ${text}\n`)
  const architecture = options.architecture && (await useArchitecture(options.architecture))
  if (options.teacherArchitecture) await useArchitecture(options.teacherArchitecture)
  const { trainer, ...config } = await readTrainingConfig(options.config, {
    ...options,
    architecture,
    note,
    json: configuration,
  })
  for (const [i, stage] of trainer.stages.entries())
    for (const key of ['train', 'eval'] as const)
      if (stage[key]) stage[key] = await parquetFiles(stage[key], `trainer.stages[${i}].${key}`)
  if (options.reportTo !== undefined)
    trainer.report_to = options.reportTo === 'none' ? [] : [options.reportTo]
  const tokenizer = await tokenizerOf(createModel(config), config.model_name)
  const teachers = teacherFolders(planStages(trainer, 1))
  await checkOutputs({
    reads: [
      ...inputs('--config', options.config),
      ...inputs('--features', options.features),
      ...(await folderInputs('--preparation', options.preparation)),
      ...inputs('--train', options.train),
      ...inputs('--eval', options.eval),
      ...(await folderInputs('model_name', config.model_name)),
      ...(await folderInputs('--init-from', options.initFrom)),
      ...trainer.stages.flatMap(({ train, eval: judged }, i) => [
        ...inputs(`stages[${i}].train`, train),
        ...inputs(`stages[${i}].eval`, judged),
      ]),
      ...(await Promise.all(teachers.map(folder => folderInputs('teacher', folder)))).flat(),
    ],
    writes: [
      ...resultFiles(out, tokenizer),
      ...(options.preparation === undefined ? [] : [join(out, PREPARATION_FILE)]),
    ],
    runs: [out],
  })
  const logsOften = await leavesLoggingOut(options.config, configuration)
  // All have looked before the first of them writes.
  await ranks.barrier()
  const release = ranks.rank === 0 ? await lockOutputFolder(out, { resume: resume !== undefined }) : undefined
  try {
    await trainInto(out, options, { trainer, config, tokenizer, logsOften, ranks })
  } finally {
    await release?.()
  }
  await ranks.barrier()
}

interface Ready {
  trainer: ResolvedTrainerConfig
  config: ModelConfiguration
  tokenizer: TextTokenizer | undefined
  logsOften: boolean
  ranks: Ranks
}

/** Trains in a folder that is this run's alone. */
async function trainInto(
  out: string,
  options: TrainOptions,
  { trainer, config, tokenizer, logsOften, ranks }: Ready,
): Promise<void> {
  const { json, resume, initFrom } = options
  const started = Date.now()
  const stream = talkOf(ranks, json)
  const first = ranks.rank === 0
  const model = createModel<Model>(config)
  model.tokenizer = tokenizer
  if (initFrom !== undefined) await checkWeights(model, join(initFrom, WEIGHTS_FILE))
  const { lastEval, ...rows } = await readRun(options, model, trainer)
  const raw = await rawColumnsOf(options.preparation)
  const groups =
    options.groupBy === undefined
      ? undefined
      : await groupsOf(options.groupBy, {
          model,
          files: lastEval,
          data: rows.stageData.at(-1)?.evaluation ?? rows.evaluation,
          raw,
        })
  const onLog =
    json && first ? (entry: LogEntry) => void process.stdout.write(`${JSON.stringify(entry)}\n`) : undefined
  await trainWithRecovery(
    {
      output: out,
      resumeFromCheckpoint: resume,
      // The others would wait for steps that they have taken: started again, all go on from the last checkpoint.
      recoveries: ranks.size > 1 ? 0 : 3,
      open: () => openGpu({ adapter: options.adapter }),
      onRecovery(error, recovery, checkpoint) {
        const next = checkpoint ? `going on from ${checkpoint}` : 'starting anew'
        stream.write(`warning: ${error.message}; ${next} on another device (recovery ${recovery})\n`)
      },
    },
    async (gpu, from) => {
      stream.write(`${gpu.adapter.line}${ranks.size > 1 ? `, rank 0 of ${ranks.size}` : ''}\n`)
      if (first) {
        await writeJson(join(out, ARGUMENTS_FILE), trainer)
        if (options.preparation !== undefined) await keepPreparation(options.preparation, out)
      }
      const run = {
        gpu,
        config,
        trainer,
        ...rows,
        evaluationFiles: lastEval,
        tokenizer,
        output: out,
        locked: true,
        ranks,
        stream,
        onLog,
        initFrom,
        callbacks: logsOften ? [logOften] : [],
        groups,
        explain: { raw, importance: options.importance },
      }
      const fitted = await fit({ ...run, resume: from || undefined, name: runName(out) })
      if (!first) return
      const { model, state, metrics, teachers, report } = fitted
      const parameters = model.numParameters()
      await saveResult(fitted, out)
      const seconds = (Date.now() - started) / 1000
      if (json) {
        const { global_step: steps } = state
        const result = {
          model: out,
          parameters,
          rows: report.rows.train,
          steps,
          seconds,
          metrics: metrics ?? null,
          ...(teachers.length
            ? { teachers: teachers.map(({ teacher, metrics }) => ({ teacher, metrics })) }
            : {}),
        }
        process.stdout.write(`${JSON.stringify(result)}\n`)
        return
      }
      if (metrics) stream.write(`\n${figuresTable(metrics, teachers)}\n`)
      stream.write(
        `\n${state.global_step} steps in ${formatSeconds(seconds)}; the model is in ${out}, the report in ${join(out, REPORT_HTML)}\n`,
      )
    },
  )
}

/** The student's figures, and those of its teachers beside them. */
function figuresTable(metrics: Record<string, number>, teachers: readonly TeacherEvaluation[]): string {
  const own = formatMetrics(shown(metrics))
  const others = teachers.map(one => formatMetrics(one.metrics))
  const names = teachers.map(({ teacher }) => `teacher ${teacher}`)
  const rows = Object.entries(own).map(([name, value]) => [
    name,
    value,
    ...others.map(figures => figures[name] ?? ''),
  ])
  return formatTable(['metric', 'value', ...names], rows)
}
