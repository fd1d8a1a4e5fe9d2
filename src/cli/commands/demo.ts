import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSyntheticKdd } from '../../data/index.ts'
import { type Gpu, openGpu } from '../../gpu/index.ts'
import {
  type BinaryMetrics,
  binaryMetrics,
  formatMetrics,
  prepareOutputFolder,
  REPORT_HTML,
  type RunReport,
  WEIGHTS_FILE,
  writeReportPage,
} from '../../train/index.ts'
import { demoModels } from '../demo-models.ts'
import { fit, saveResult } from '../fit.ts'
import { readRows } from '../inputs.ts'
import { formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'
import { formatTable } from '../table.ts'

export interface DemoOptions {
  out: string
  rows: number
  seed: number
  adapter?: string
  json?: boolean
}

type Scores = Pick<BinaryMetrics, 'roc_auc' | 'pr_auc' | 'log_loss'>

/** Draws click data with a planted signal, trains on it with and without the tabular features, and compares. */
export async function run({ out, rows, seed, adapter, json }: DemoOptions): Promise<void> {
  const started = Date.now()
  const stream = talkStream(json)
  await prepareOutputFolder(out)
  const gpu = await openGpu({ adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    // Models of an earlier demo do not belong to the data that is made now. Only the demo's own files are touched.
    for (const name of ['text_tabular', 'text_only']) await rm(join(out, name, WEIGHTS_FILE), { force: true })
    const results = await compare(gpu, { out, rows, seed, stream })
    if (json) {
      process.stdout.write(`${JSON.stringify(results)}\n`)
      return
    }
    const seconds = formatSeconds((Date.now() - started) / 1000)
    stream.write(`\n${tableOf(results)}\n\ndone in ${seconds}; next, score a file with the trained model:\n`)
    stream.write(
      `npx kernelgrad predict --model ${join(out, 'text_tabular')} --data ${join(out, 'data', 'test.parquet')} --out ${join(out, 'predictions.parquet')}\n`,
    )
  } finally {
    gpu.close()
  }
}

interface Comparison {
  out: string
  rows: number
  seed: number
  stream: NodeJS.WriteStream
}

async function compare(gpu: Gpu, { out, rows, seed, stream }: Comparison): Promise<Record<string, Scores>> {
  // A quarter of the training rows tells AUCs apart to about 0.01 at the default size.
  const testRows = Math.ceil(rows / 4)
  const data = await writeSyntheticKdd({ folder: join(out, 'data'), trainRows: rows, testRows, seed })
  const results: Record<string, Scores> = {}
  const reports: RunReport[] = []
  for (const [name, { trainer, ...config }] of Object.entries(demoModels(data, seed))) {
    const train = await readRows([data.train], config, trainer)
    const evaluation = await readRows([data.test], config, trainer)
    const fitted = await fit({ gpu, config, trainer, train, evaluation, stream, name: TITLES[name]! })
    await saveResult(fitted, join(out, name))
    fitted.model.free()
    reports.push(fitted.report)
    results[name] = scores(fitted.metrics as unknown as BinaryMetrics)
  }
  await writeReportPage(join(out, REPORT_HTML), reports)
  results.best_possible = scores(binaryMetrics(data.testLabels, data.testProbability))
  return results
}

const scores = ({ roc_auc, pr_auc, log_loss }: BinaryMetrics): Scores => ({ roc_auc, pr_auc, log_loss })

const TITLES: Record<string, string> = {
  text_tabular: 'text + tabular',
  text_only: 'text only',
  best_possible: 'best possible',
}

function tableOf(results: Record<string, Scores>): string {
  const rows = Object.entries(results).map(([name, result]) => {
    const { roc_auc, pr_auc, log_loss } = formatMetrics({ ...result })
    return [TITLES[name]!, roc_auc, pr_auc, log_loss]
  })
  return formatTable(['model', 'ROC AUC', 'PR AUC', 'log loss'], rows)
}
