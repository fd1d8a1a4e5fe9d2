import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { reason } from '../../data/files.ts'
import { DataError } from '../../errors.ts'
import { readRunReport, writeReportPage } from '../../train/index.ts'

export interface ReportOptions {
  runs: string[]
  out: string
}

/** Writes one page of several runs, from what each left in its folder. */
export async function run({ runs, out }: ReportOptions): Promise<void> {
  const reports = await Promise.all(runs.map(readRunReport))
  await mkdir(dirname(out), { recursive: true }).catch(error => {
    throw new DataError(`cannot write ${out}: ${reason(error)}`, { cause: error })
  })
  await writeReportPage(out, reports)
  process.stdout.write(`${runs.length} ${runs.length === 1 ? 'run' : 'runs'} in ${out}\n`)
}
