import { dataWarning, readRunReport, reportPathOf, writeReportPage } from '../../train/index.ts'
import { checkOutputs, inputs, isStdout, makeFolderOf } from '../outputs.ts'

export interface ReportOptions {
  runs: string[]
  out: string
}

/** Writes one page of several runs, from what each left in its folder. */
export async function run({ runs, out }: ReportOptions): Promise<void> {
  const reports = await Promise.all(runs.map(readRunReport))
  await checkOutputs({ reads: inputs('the report', runs.map(reportPathOf)), writes: [out] })
  await makeFolderOf(out)
  await writeReportPage(out, reports)
  const warning = dataWarning(reports)
  if (warning) process.stderr.write(`warning: ${warning}\n`)
  const stream = (await isStdout(out)) ? process.stderr : process.stdout
  stream.write(`${runs.length} ${runs.length === 1 ? 'run' : 'runs'} in ${out}\n`)
}
