// Which evaluation is the best, and when there has been none better for too long.
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { Figure, Metric } from '../metrics/index.ts'
import type { Model } from '../models/index.ts'
import type { TrainerState } from './trainer-state.ts'

/** What a model's evaluations give, by name. */
export type FiguresByName = Readonly<Record<string, Figure>>

type Settings = Pick<ResolvedTrainerConfig, 'metric_for_best_model' | 'greater_is_better'>

/** The metric's name without the `eval_` that transformers allows before it. */
export const metricOf = ({ metric_for_best_model }: Settings): string =>
  (metric_for_best_model ?? 'loss').replace(/^eval_/, '')

/** What a model is judged by, with the figures of those names that it has when it is asked for them, as ndcg@3 of lists. */
export function metricWith(model: Model, also: readonly string[], options: { rows?: number } = {}): Metric {
  const own = model.metrics(options)
  return also.every(name => Object.hasOwn(own.figures, name)) ? own : model.metrics({ ...options, also })
}

/** The figures of a run's evaluations. */
export const figuresOfRun = (model: Model, settings: Settings): FiguresByName =>
  metricWith(model, [metricOf(settings)]).figures

/** Whether more of the metric is better; less is, otherwise. */
const isGreater = (settings: Settings, figures: FiguresByName): boolean =>
  figures[metricOf(settings)]?.better === 'greater'

/**
 * Checks, before a run starts, that its evaluations will have the metric that says what is best, and that it says so.
 * @param figures of the model's evaluations.
 * @param where what the message begins with, such as the file's name.
 * @throws ConfigError listing the metrics to choose from; or where `greater_is_better` says the opposite of what the metric is.
 * @internal
 */
export function checkBestMetric(config: Settings, figures: FiguresByName, where = ''): void {
  const { metric_for_best_model: asked, greater_is_better: greater } = config
  const name = metricOf(config)
  const choices = Object.keys(figures)
    .filter(figure => figures[figure]!.better !== 'none')
    .join(', ')
  if (!Object.hasOwn(figures, name))
    throw new ConfigError(`${where}metric_for_best_model is '${asked}', expected one of ${choices}`)
  const { better } = figures[name]!
  if (better === 'none')
    throw new ConfigError(
      `${where}metric_for_best_model is '${asked}', which is better neither greater nor lower; expected one of ${choices}`,
    )
  if (greater !== null && greater !== isGreater(config, figures))
    throw new ConfigError(
      `${where}greater_is_better is ${greater}, and ${name} is better when it is ${better}; leave greater_is_better out`,
    )
}

/** {@link checkBestMetric} of a model's run. */
export const checkMetricOfRun = (config: Settings, model: Model, where = ''): void =>
  checkBestMetric(config, figuresOfRun(model, config), where)

/**
 * Notes an evaluation in the state: the best metric, and how many evaluations in a row had none better by more than
 * `early_stopping_threshold`. Source: transformers `EarlyStoppingCallback`, `Trainer._determine_best_metric`.
 */
export function noteEvaluation(
  state: TrainerState,
  config: Settings & Pick<ResolvedTrainerConfig, 'early_stopping_threshold'>,
  metrics: Record<string, number>,
  figures: FiguresByName,
  step = state.global_step,
): void {
  const value = metrics[`eval_${metricOf(config)}`]!
  const best = state.best_metric
  // Nothing is better than NaN: as a best it would stay for good.
  const better =
    best === null ? !Number.isNaN(value) : isGreater(config, figures) ? value > best : value < best
  const clearly = better && (best === null || Math.abs(value - best) > config.early_stopping_threshold)
  state.early_stopping_patience_counter = clearly ? 0 : state.early_stopping_patience_counter + 1
  if (better) {
    state.best_metric = value
    state.best_global_step = step
  }
}

/** Tells of an evaluation that cannot be the best, as its metric has no value there: ROC AUC of rows that are all of one class. */
export function tellWithoutValue(
  config: Settings & Pick<ResolvedTrainerConfig, 'load_best_model_at_end' | 'early_stopping_patience'>,
  metrics: Record<string, number>,
  step: number,
  warn: (message: string) => void,
): void {
  const counts =
    config.metric_for_best_model || config.load_best_model_at_end || config.early_stopping_patience !== null
  if (!counts || !Number.isNaN(metrics[`eval_${metricOf(config)}`])) return
  warn(
    `the evaluation of step ${step} has no ${metricOf(config)}, the metric_for_best_model: it is not taken for the best, and early stopping ` +
      'counts it as one without progress',
  )
}

/** Notes an evaluation of a run, and tells where it cannot be the best. */
export function judge(
  model: Model,
  state: TrainerState,
  config: Parameters<typeof tellWithoutValue>[0] & Parameters<typeof noteEvaluation>[1],
  metrics: Record<string, number>,
  warn: (message: string) => void,
): void {
  tellWithoutValue(config, metrics, state.global_step, warn)
  noteEvaluation(state, config, metrics, figuresOfRun(model, config))
}

/**
 * Looks again which evaluation so far was the best, as a run does that goes on with another metric, or from a checkpoint of a
 * version that took another direction for the better one.
 * @param judgedSince evaluations up to this step are of other data, and count for nothing; 0 for none.
 * @param stageStart the step that the running stage starts after: evaluations before it count for no patience.
 * @returns whether it is another than the state said.
 */
export function reconsiderBest(
  state: TrainerState,
  config: Settings & Pick<ResolvedTrainerConfig, 'early_stopping_threshold'>,
  stageStart: number,
  figures: FiguresByName,
  judgedSince = 0,
): boolean {
  const again = { ...state, best_metric: null, best_global_step: null, early_stopping_patience_counter: 0 }
  for (const { step, ...entry } of state.log_history) {
    // Its JSON holds null for what was NaN.
    const value = entry[`eval_${metricOf(config)}`] as number | null | undefined
    if (value === undefined || (judgedSince && step <= judgedSince)) continue
    noteEvaluation(again, config, { [`eval_${metricOf(config)}`]: value ?? Number.NaN }, figures, step)
    if (step <= stageStart) again.early_stopping_patience_counter = 0
  }
  if (again.best_global_step === state.best_global_step) return false
  const { best_metric, best_global_step, early_stopping_patience_counter } = again
  Object.assign(state, { best_metric, best_global_step, early_stopping_patience_counter })
  return true
}

/** Whether the last evaluations bring no more progress, and the stage is to end. */
export function outOfPatience(
  state: TrainerState,
  { early_stopping_patience: patience }: Pick<ResolvedTrainerConfig, 'early_stopping_patience'>,
): boolean {
  return patience !== null && state.early_stopping_patience_counter >= patience
}
