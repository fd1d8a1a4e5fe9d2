// Which evaluation is the best, and when there has been none better for too long.
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { TrainerState } from './trainer-state.ts'

type Settings = Pick<ResolvedTrainerConfig, 'metric_for_best_model' | 'greater_is_better'>

/** The metric's name in the log, `eval_…`. */
const bestMetricName = ({ metric_for_best_model }: Settings): string => {
  const name = metric_for_best_model ?? 'loss'
  return name.startsWith('eval_') ? name : `eval_${name}`
}

/** As transformers decides where nothing is said: less is better for what ends in `loss`. */
function isBetter(settings: Settings, value: number, than: number): boolean {
  const greater = settings.greater_is_better ?? !bestMetricName(settings).endsWith('loss')
  return greater ? value > than : value < than
}

/**
 * Notes an evaluation in the state: the best metric, and how many evaluations in a row had none better by more than
 * `early_stopping_threshold`. Source: transformers `EarlyStoppingCallback`, `Trainer._determine_best_metric`.
 * @throws ConfigError listing the metrics there are when the one asked for is not among them.
 */
export function noteEvaluation(
  state: TrainerState,
  config: Settings & Pick<ResolvedTrainerConfig, 'early_stopping_threshold'>,
  metrics: Record<string, number>,
): void {
  const name = bestMetricName(config)
  const value = metrics[name]
  if (value === undefined) {
    const known = Object.keys(metrics).map(metric => metric.replace(/^eval_/, ''))
    throw new ConfigError(
      `metric_for_best_model is '${config.metric_for_best_model}', expected one of ${known.join(', ')}`,
    )
  }
  const best = state.best_metric
  const better = best === null || isBetter(config, value, best)
  const clearly = best === null || (better && Math.abs(value - best) > config.early_stopping_threshold)
  state.early_stopping_patience_counter = clearly ? 0 : state.early_stopping_patience_counter + 1
  if (better) {
    state.best_metric = value
    state.best_global_step = state.global_step
  }
}

/** Whether the last evaluations bring no more progress, and the stage is to end. */
export function outOfPatience(
  state: TrainerState,
  { early_stopping_patience: patience }: Pick<ResolvedTrainerConfig, 'early_stopping_patience'>,
): boolean {
  return patience !== null && state.early_stopping_patience_counter >= patience
}
