import { formatMetrics } from '../train/index.ts'

/** Where a command tells how it goes: stdout belongs to the JSON where that is asked for. */
export const talkStream = (json?: boolean): NodeJS.WriteStream => (json ? process.stderr : process.stdout)

/** The figures of an evaluation that are shown, in order. */
export function shown(metrics: Record<string, number>): Record<string, number> {
  const known = [
    ['log_loss', 'roc_auc', 'pr_auc'],
    ['loss', 'ndcg@10', 'mrr@10'],
    ['loss', 'accuracy'],
  ]
  // Of a metric that is not the library's, all.
  const names = known.find(some => some.every(name => name in metrics)) ?? Object.keys(metrics)
  return Object.fromEntries(names.map(name => [name, metrics[name]!]))
}

/** All figures of an evaluation, the best known first. `loss` is left to JSON where `log_loss` says the same, as of a classifier. */
export function allShown(metrics: Record<string, number>): Record<string, number> {
  const { loss: _, ...others } = metrics
  return { ...shown(metrics), ...('roc_auc' in metrics ? others : metrics) }
}

/** Figures as 'log_loss 0.431  roc_auc 0.702'. */
export function metricsLine(metrics: Record<string, number>): string {
  return Object.entries(formatMetrics(shown(metrics)))
    .map(pair => pair.join(' '))
    .join('  ')
}
