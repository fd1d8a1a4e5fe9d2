import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { PageScripts } from './html.ts'

/** Chart.js in one piece, and what draws with it, as text. */
export async function pageScripts(): Promise<PageScripts> {
  // The package's exports hide the UMD build, so it is found from the package's entry in the same folder.
  const entry = createRequire(import.meta.url).resolve('chart.js')
  const [chartJs, page] = await Promise.all([
    readFile(join(dirname(entry), 'chart.umd.min.js'), 'utf8'),
    readFile(new URL('./page.js', import.meta.url), 'utf8'),
  ])
  return { chartJs, page }
}
