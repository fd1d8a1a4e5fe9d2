// What every figure of an evaluation is: its title, and which way it gets better. The types hold the table to the figures there are.
import type { BinaryMetrics } from './accumulator.ts'

/** Which way a figure gets better; 'none' where more and less are both worse, or say nothing. */
export type Better = 'greater' | 'lower' | 'none'

/** A figure of an evaluation. */
export interface Figure {
  better: Better
  /** What a report calls it; what has none only says what another figure counts. */
  title?: string
  /** The value that is best, where that is neither the greatest nor the least. */
  best?: number
}

type Name = keyof BinaryMetrics | 'accuracy' | 'loss'

/** Figures in the order they are shown, best known first. */
const table: Record<Name, Figure> = {
  roc_auc: { title: 'ROC AUC', better: 'greater' },
  pr_auc: { title: 'PR AUC', better: 'greater' },
  log_loss: { title: 'Log loss', better: 'lower' },
  normalized_entropy: { title: 'Normalized entropy', better: 'lower' },
  brier: { title: 'Brier score', better: 'lower' },
  expected_calibration_error: { title: 'Expected calibration error', better: 'lower' },
  calibration_ratio: { title: 'Predicted / actual clicks', better: 'none', best: 1 },
  gauc: { title: 'AUC within groups', better: 'greater' },
  gauc_groups: { better: 'none' },
  gauc_rows: { better: 'none' },
  accuracy: { title: 'Accuracy', better: 'greater' },
  loss: { title: 'Loss', better: 'lower' },
}
export const FIGURES: Readonly<Record<string, Figure>> = table

const OF_TWO: readonly Name[] = [
  'loss',
  'log_loss',
  'roc_auc',
  'pr_auc',
  'normalized_entropy',
  'brier',
  'expected_calibration_error',
  'calibration_ratio',
]
const OF_MORE: readonly Name[] = ['loss', 'accuracy']

/** The figures of an evaluation without groups, of a classifier with so many classes. */
export const figuresOf = (classes: number): Readonly<Record<string, Figure>> =>
  Object.fromEntries((classes === 2 ? OF_TWO : OF_MORE).map(name => [name, table[name]]))
