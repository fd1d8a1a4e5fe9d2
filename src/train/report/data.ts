// What a training run leaves for its report: one JSON value, with everything the page shows.
import * as v from 'valibot'
import type { ResolvedTrainerConfig } from '../../config/index.ts'
import { parseStrict } from '../../config/schema.ts'
import { VERSION } from '../../kernels/tuning.ts'
import type { Curves, ListCurves } from '../../metrics/index.ts'
import type { ModelConfiguration } from '../../models/index.ts'
import type { Importance } from '../explain/importance.ts'
import type { Slices } from '../explain/slices.ts'
import type { TeacherEvaluation } from '../teacher-evaluation.ts'
import type { LogEntry, TrainerState } from '../trainer-state.ts'

/** Figures as JSON holds them: null where one does not exist. */
export type Figures = Record<string, number | null>

/** Content of `report.json`. */
export interface RunReport {
  /** Of this layout. */
  format: 1
  /** What the run is called where several are shown; its folder's name. */
  name: string
  /** When training ended, ISO 8601. */
  created: string
  /** Of this library. */
  version: string
  /** The start-up line: adapter, driver, why this one. */
  adapter: string
  /** Class of the model, and its trained values. */
  model: { architecture: string; parameters: number }
  /** Rows of the data. */
  rows: { train: number; evaluation: number | null; trained?: number | undefined }
  /** What the evaluation data was; older reports did not note it. */
  evaluation_data?: { file: string; rows: number; bytes: number; sha256: string }[] | undefined
  /** Optimizer steps taken. */
  steps: number
  /** Epochs done. */
  epochs: number
  /** Step whose weights the model holds at the end. */
  step_kept: number
  /** In all, and of its parts. */
  seconds: { total: number; parts: Record<string, number> }
  /** Model and trainer settings. */
  config: Record<string, unknown>
  /** Of the weights at the end. */
  metrics: Figures | null
  /** Losses and evaluations. */
  log_history: Figures[]
  /** Of the weights at the end; binary models with evaluation data. */
  curves: Curves | null
  /** Rows by class and by the class they were taken for, of the weights at the end; classifiers of more than two classes. */
  confusion?: number[][] | undefined
  /** How much each feature matters, on evaluation rows. */
  importance?: Importance | undefined
  /** Where the model is worse than elsewhere, on evaluation rows. */
  slices?: Slices | undefined
  /** What the run learned from, on the same evaluation data. */
  teachers?: TeacherFigures[] | undefined
  /** How well lists are ordered by the weights at the end; rankers with evaluation data. */
  lists?: (ListCurves & { propensities?: Propensities | undefined }) | undefined
}

/** A teacher in its student's report. */
export interface TeacherFigures {
  /** Its folder, or the columns of its logits. */
  teacher: string
  /** Of the evaluation data. */
  metrics: Figures
  /** Binary models alone have them. */
  curves: Curves | null
}

/** How much places are looked at beside the first, which is 1. */
export interface Propensities {
  /** By place, as the model's table of positions has it. */
  learned: number[]
  /** As it is, where it is known. */
  truth?: number[] | undefined
}

/** What a report is made of. */
export interface RunReportInput {
  /** What the run is called. */
  name: string
  /** The start-up line. */
  adapter: string
  /** Model and trainer settings. */
  config: ModelConfiguration & { trainer: ResolvedTrainerConfig }
  /** Class and trained values. */
  model: RunReport['model']
  /** Rows of the data; and those that the steps went through, where stages have data of their own. */
  rows: { train: number; evaluation?: number; trained?: number }
  /** Fingerprints of the evaluation data's files: reports of other data are not compared with this. */
  evaluationData?: RunReport['evaluation_data']
  /** How far the run went, and its log. */
  state: Pick<TrainerState, 'global_step' | 'epoch'> & { log_history: readonly LogEntry[] }
  /** Step whose weights the model holds; the last unless given. */
  stepKept?: number
  /** In all. */
  seconds: number
  /** Seconds of the run's parts, such as data, wait or save; what they leave of `seconds` is shown as 'other'. */
  timings?: Record<string, number>
  /** Of the weights that are kept. */
  metrics?: Record<string, number>
  /** Of the weights that are kept. */
  curves?: Curves
  /** Of the weights that are kept. */
  confusion?: number[][] | undefined
  /** Of the weights that are kept. */
  importance?: Importance | undefined
  /** Of the weights that are kept. */
  slices?: Slices | undefined
  /** Its teachers on the same rows, from `evaluateTeachers`. */
  teachers?: readonly TeacherEvaluation[]
  /** Of the weights that are kept, and what they say of places. */
  lists?: RunReport['lists']
}

/** Puts a run's report together; the result is plain JSON. */
export function runReport(input: RunReportInput): RunReport {
  const { state, rows, config } = input
  const report: RunReport = {
    format: 1,
    name: input.name,
    created: new Date().toISOString(),
    version: VERSION,
    adapter: input.adapter,
    model: input.model,
    rows: { ...rows, evaluation: rows.evaluation ?? null },
    evaluation_data: input.evaluationData,
    steps: state.global_step,
    epochs: state.epoch,
    step_kept: input.stepKept ?? state.global_step,
    seconds: { total: input.seconds, parts: { ...input.timings } },
    config: { ...config },
    metrics: input.metrics ?? null,
    log_history: [...state.log_history],
    curves: input.curves ?? null,
    ...(input.confusion ? { confusion: input.confusion } : {}),
    ...(input.importance ? { importance: input.importance } : {}),
    ...(input.slices ? { slices: input.slices } : {}),
    ...(input.lists ? { lists: input.lists } : {}),
  }
  if (input.teachers?.length)
    report.teachers = input.teachers.map(({ curves, ...own }) => ({ ...own, curves: curves ?? null }))
  // NaN becomes null here, not only once it was written and read.
  return JSON.parse(JSON.stringify(report))
}

const figures = v.record(v.string(), v.nullable(v.number()))
const numbers = v.array(v.number())
const curves = v.nullable(
  v.object({
    roc: v.object({ fpr: numbers, tpr: numbers }),
    precision_recall: v.object({ precision: numbers, recall: numbers }),
    reliability: v.object({ prob_true: numbers, prob_pred: numbers, counts: numbers }),
    histogram: v.object({ edges: numbers, clicks: numbers, others: numbers }),
    thresholds: v.optional(v.object({ score: numbers, clicks: numbers, others: numbers })),
  }),
)
const listParts = v.array(
  v.object({ name: v.string(), lists: v.number(), left_out: v.number(), ndcg: v.nullable(v.number()) }),
)
const lists = v.object({
  ndcg: v.array(v.nullable(v.number())),
  by_length: listParts,
  by_group: listParts,
  propensities: v.optional(v.object({ learned: numbers, truth: v.optional(numbers) })),
})
const importance = v.object({
  figure: v.string(),
  base: v.number(),
  rows: v.number(),
  of: v.number(),
  repeats: v.number(),
  seed: v.number(),
  features: v.array(v.object({ name: v.string(), worse: v.number(), deviation: v.nullable(v.number()) })),
})
const slice = {
  value: v.string(),
  count: v.number(),
  mean: v.number(),
  low: v.nullable(v.number()),
  high: v.nullable(v.number()),
  clicks: v.optional(v.number()),
  predicted: v.optional(v.number()),
}
const slices = v.object({
  figure: v.picklist(['log_loss', 'ndcg@10']),
  rows: v.number(),
  of: v.number(),
  all: v.object(slice),
  features: v.array(v.object({ name: v.string(), slices: v.array(v.object(slice)), more: v.number() })),
  worst: v.array(v.object({ ...slice, feature: v.string() })),
})
const reportSchema = v.object({
  format: v.literal(1, ({ input }) => `expected format 1, got ${JSON.stringify(input)}`),
  name: v.string(),
  created: v.string(),
  version: v.string(),
  adapter: v.string(),
  model: v.object({ architecture: v.string(), parameters: v.number() }),
  rows: v.object({
    train: v.number(),
    evaluation: v.nullable(v.number()),
    trained: v.optional(v.number()),
  }),
  evaluation_data: v.optional(
    v.array(v.object({ file: v.string(), rows: v.number(), bytes: v.number(), sha256: v.string() })),
  ),
  steps: v.number(),
  epochs: v.number(),
  step_kept: v.number(),
  seconds: v.object({ total: v.number(), parts: v.record(v.string(), v.number()) }),
  config: v.record(v.string(), v.unknown()),
  metrics: v.nullable(figures),
  log_history: v.array(figures),
  lists: v.optional(lists),
  curves,
  confusion: v.optional(v.array(numbers)),
  importance: v.optional(importance),
  slices: v.optional(slices),
  teachers: v.optional(v.array(v.object({ teacher: v.string(), metrics: figures, curves }))),
})

/**
 * Checks the content of a `report.json`.
 * @throws ConfigError naming `where`, the key and what was expected.
 */
export function parseRunReport(json: unknown, where: string): RunReport {
  return parseStrict(reportSchema, json, where)
}
