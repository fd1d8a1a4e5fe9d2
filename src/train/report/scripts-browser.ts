import { KernelgradError } from '../../errors.ts'
import type { PageScripts } from './html.ts'

/** A browser cannot read a package's files as text. */
export async function pageScripts(): Promise<PageScripts> {
  throw new KernelgradError('a report page is written in Node: `kernelgrad report` makes one of report.json')
}
