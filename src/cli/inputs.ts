// What a command reads, checked before the device is opened.
import type { ResolvedTrainerConfig } from '../config/index.ts'
import {
  type Dataset,
  isStreamed,
  loadDataset,
  openDataset,
  openParquet,
  type ReadOptions,
  type StreamedDataset,
} from '../data/index.ts'
import { checkTextLengths } from '../data/place.ts'
import { UsageError } from '../errors.ts'
import { type Model, readOptions } from '../models/index.ts'
import { type StageData, trainingReads } from '../train/index.ts'

/**
 * Reads the rows of labelled files into memory, as a model takes them, or as `reading` says.
 * @throws DataError naming file, column, row and value of the first bad one, too long a text included.
 */
export async function readRows(
  paths: readonly string[],
  model: Pick<Model, 'inputs' | 'tokenizer'>,
  { truncate }: { truncate: boolean },
  reading: ReadOptions = readOptions(model),
): Promise<Dataset> {
  // Every footer is read before the first file's data.
  const files = await Promise.all(paths.map(path => openParquet(path)))
  const data = await loadDataset(files, reading)
  if (!truncate) checkTextLengths(data, reading.inputs)
  return data
}

/** The same of files that a model is judged by: what its loss alone reads may be missing. */
export const readJudged = (
  paths: readonly string[],
  model: Pick<Model, 'inputs' | 'tokenizer'>,
  trainer: { truncate: boolean },
): Promise<Dataset> => readRows(paths, model, trainer, readOptions(model, 'judged'))

/** What a run is trained and evaluated on: the rows of its files, and of those that stages name. */
export interface RunRows {
  train: Dataset | StreamedDataset | undefined
  evaluation: Dataset | undefined
  stageData: (StageData | undefined)[]
  /** The files that the last stage is evaluated on. */
  lastEval: readonly string[] | undefined
}

/**
 * Reads the rows of a run with its stages. Files that are named in several places to evaluate on are read once.
 * @throws UsageError where rows to train on are missing, or files are named that no stage would read
 */
export async function readRun(
  { train, eval: judged }: { train?: readonly string[] | undefined; eval?: readonly string[] | undefined },
  model: Model,
  trainer: ResolvedTrainerConfig,
): Promise<RunRows> {
  checkFiles(trainer, train, judged)
  const evaluations = new Map<string, Promise<Dataset>>()
  const evaluationOf = async (paths: readonly string[] | undefined) => {
    if (!paths) return undefined
    const key = JSON.stringify(paths)
    if (!evaluations.has(key)) evaluations.set(key, readJudged(paths, model, trainer))
    return evaluations.get(key)
  }
  const trainOf = async (paths: readonly string[] | undefined, stage?: number) =>
    paths && readTrained(paths, model, trainer, await trainingReads(model, trainer, stage))
  const rows = { train: await trainOf(train), evaluation: await evaluationOf(judged) }
  const stageData: (StageData | undefined)[] = []
  for (const [i, stage] of trainer.stages.entries()) {
    const own: StageData = {}
    if (stage.train) own.train = await trainOf(stage.train, i)
    if (stage.eval) own.evaluation = await evaluationOf(stage.eval)
    stageData.push(stage.train || stage.eval ? own : undefined)
  }
  const given = stageData.some(Boolean) ? stageData : []
  return { ...rows, stageData: given, lastEval: trainer.stages.at(-1)?.eval ?? judged }
}

/** Rows to train on, in memory where they fit. */
async function readTrained(
  paths: readonly string[],
  model: Model,
  trainer: ResolvedTrainerConfig,
  reading: ReadOptions,
): Promise<Dataset | StreamedDataset> {
  const { memory, truncate } = trainer
  if (memory === null) return readRows(paths, model, trainer, reading)
  const data = await openDataset(paths, { ...reading, memory })
  if (!truncate && !isStreamed(data)) checkTextLengths(data, reading.inputs)
  return data
}

function checkFiles(
  { stages }: ResolvedTrainerConfig,
  train: readonly string[] | undefined,
  judged: readonly string[] | undefined,
): void {
  const lacks = stages.findIndex(stage => !stage.train)
  const every = (key: 'train' | 'eval') => stages.length > 0 && stages.every(stage => stage[key])
  if (!train && !every('train'))
    throw new UsageError(
      `option '--train <files...>' is missing: ${lacks < 0 ? 'expected Parquet files to train on' : `trainer.stages[${lacks}] names no train files of its own`}`,
    )
  for (const [key, files] of Object.entries({ train, eval: judged }))
    if (files && every(key as 'train' | 'eval'))
      throw new UsageError(
        `--${key} ${files.join(' ')} is read by no stage: each of trainer.stages names ${key} files of its own; leave one out`,
      )
}
