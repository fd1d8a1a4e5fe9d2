// Node only, and imported on use, so that browsers can load the rest: reports on disk.
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
  const { writeFileAtomic } = await import('../../data/files.ts')
  const html = reportHtml(reports, await pageScripts())
  await writeFileAtomic(path, file => file.writeFile(html))
}

/**
 * Writes `report.json` and `report.html` into a run's folder.
 * @throws DataError when they cannot be written.
 */
export async function writeRunReport(folder: string, report: RunReport): Promise<void> {
  const { join } = await import('node:path')
  const { writeJson } = await import('../../data/files.ts')
  await writeJson(join(folder, REPORT_JSON), report)
  await writeReportPage(join(folder, REPORT_HTML), [report])
}

/**
 * Reads a run's `report.json`.
 * @param path the run's folder, or the file itself.
 * @throws ConfigError naming the file, and the key that is not as expected.
 */
export async function readRunReport(path: string): Promise<RunReport> {
  const { join } = await import('node:path')
  const { readJson } = await import('../../data/files.ts')
  const file = path.endsWith('.json') ? path : join(path, REPORT_JSON)
  return parseRunReport(await readJson(file), file)
}

/** Chart.js in one piece, and what draws with it, as text. */
async function pageScripts(): Promise<{ chartJs: string; page: string }> {
  const { readFile } = await import('node:fs/promises')
  const { createRequire } = await import('node:module')
  const { dirname, join } = await import('node:path')
  // The package's exports hide the UMD build, so it is found from the package's entry in the same folder.
  const entry = createRequire(import.meta.url).resolve('chart.js')
  const [chartJs, page] = await Promise.all([
    readFile(join(dirname(entry), 'chart.umd.min.js'), 'utf8'),
    readFile(new URL('./page.js', import.meta.url), 'utf8'),
  ])
  return { chartJs, page }
}
