// Reports on disk.
import { files } from '#files'
import { pageScripts } from '#scripts'
import { readJson, writeFileAtomic, writeJson } from '../../data/files.ts'
import type { RunReport } from './data.ts'
import { parseRunReport } from './data.ts'
import { reportHtml } from './html.ts'

/** Name of a run's report as data. */
export const REPORT_JSON = 'report.json'
/** Name of a run's report as a page. */
export const REPORT_HTML = 'report.html'

/**
 * Writes the page of one or several runs: one self-contained file.
 * @throws DataError when the file cannot be written.
 */
export async function writeReportPage(path: string, reports: readonly RunReport[]): Promise<void> {
  const html = reportHtml(reports, await pageScripts())
  await writeFileAtomic(path, file => file.write(html))
}

/**
 * Writes `report.json` and `report.html` into a run's folder.
 * @throws DataError when they cannot be written.
 */
export async function writeRunReport(folder: string, report: RunReport): Promise<void> {
  await writeJson(files.join(folder, REPORT_JSON), report)
  await writeReportPage(files.join(folder, REPORT_HTML), [report])
}

/** The `report.json` that a path names: a run's folder, or the file itself. @internal */
export const reportPathOf = (path: string): string =>
  path.endsWith('.json') ? path : files.join(path, REPORT_JSON)

/**
 * Reads a run's `report.json`.
 * @param path the run's folder, or the file itself.
 * @throws ConfigError naming the file, and the key that is not as expected.
 */
export async function readRunReport(path: string): Promise<RunReport> {
  const file = reportPathOf(path)
  return parseRunReport(await readJson(file), file)
}
