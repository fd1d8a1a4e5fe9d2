// Teachers stand beside their students where evaluations are shown: in the results and the curves.
import type { RunReport } from './data.ts'
import { dataNumbers } from './same-data.ts'

/**
 * The runs, and behind each the teachers that were evaluated on its rows, as runs without a training. One that several runs learned from is there
 * once for each evaluation data.
 */
export function withTeachers(reports: readonly RunReport[]): RunReport[] {
  const numbers = dataNumbers(reports)
  const seen = new Set<string>()
  return reports.flatMap((report, i) => {
    const { teachers = [], confusion: _, importance: __, slices: ___, lists: ____, ...run } = report
    const others = teachers.filter(({ teacher, metrics }) => {
      const key = JSON.stringify([numbers[i], teacher, metrics])
      return !seen.has(key) && seen.add(key)
    })
    const shown = others.map(({ teacher, metrics, curves }) => ({
      ...run,
      name: `teacher ${teacher}`,
      metrics,
      curves,
      log_history: [],
      seconds: { total: 0, parts: {} },
    }))
    return [report, ...shown]
  })
}
