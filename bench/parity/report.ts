import { formatTable } from '../../src/cli/table.ts'

/** One comparison with frozen values. */
export interface Finding {
  /** Case folder and file, as in `tiny/grads`. */
  file: string
  /** The tensor or figure with the largest error. */
  worst: string
  error: number
  bound: number
}

/** Keeps the largest error of a file against one bound. */
export class Check {
  readonly #file: string
  readonly #bound: number
  #worst = ''
  #error = -1

  constructor(file: string, bound: number) {
    this.#file = file
    this.#bound = bound
  }

  /** Notes an error; NaN counts as infinite. */
  add(name: string, error: number): void {
    const value = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
    if (value <= this.#error) return
    this.#error = value
    this.#worst = name
  }

  /** Largest error over the expected tensor's largest value (or `scale`). */
  tensor(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, scale?: number): void {
    if (actual.length !== expected.length) {
      this.add(`${name} (${actual.length} values, expected ${expected.length})`, Number.POSITIVE_INFINITY)
      return
    }
    let largest = 0
    let worst = 0
    for (let i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]!))
      const error = Math.abs(actual[i]! - expected[i]!)
      if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
    }
    this.add(name, worst / (scale ?? (largest || 1)))
  }

  /** Relative error of one figure, or the error itself where the figure is 0 but for noise. */
  figure(name: string, actual: number, expected: number): void {
    this.add(name, Math.abs(actual - expected) / (Math.abs(expected) < 1e-9 ? 1 : Math.abs(expected)))
  }

  done(): Finding[] {
    return this.#error < 0
      ? []
      : [{ file: this.#file, worst: this.#worst, error: this.#error, bound: this.#bound }]
  }
}

export const passes = ({ error, bound }: Finding): boolean => error <= bound

/** The findings as a table. */
export function findingsTable(findings: Finding[]): string {
  return formatTable(
    ['file', 'largest error', 'bound', '', 'where'],
    findings.map(finding => [
      finding.file,
      finding.error.toExponential(1),
      finding.bound.toExponential(0),
      passes(finding) ? 'ok' : 'FAIL',
      finding.worst,
    ]),
  )
}
