// Runs an experiment: seed by seed, then table, checks, results.json and a page of the first seed's trainings.
import { cpus } from 'node:os'
import { join } from 'node:path'
import { files } from '#files'
import { writeJson } from '../../data/files.ts'
import { CheckpointError } from '../../errors.ts'
import { openGpu } from '../../gpu/index.ts'
import { VERSION } from '../../kernels/tuning.ts'
import { lockOutputFolder, REPORT_HTML, type RunReport, writeReportPage } from '../../train/index.ts'
import { checkOutputs } from '../outputs.ts'
import { formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'
import { checkLines, type Experiment, type Figures, resultTable } from './experiment.ts'

/** What every experiment's command takes. */
export interface PlantedOptions {
  out: string
  seed: number
  seeds: number
  quick?: boolean
  adapter?: string
  json?: boolean
}

const RESULTS_FILE = 'results.json'

/**
 * Runs an experiment and tells what came of it.
 * @returns the exit code: 0 where all that must hold holds, else 1.
 */
export async function runExperiment(experiment: Experiment, options: PlantedOptions): Promise<number> {
  const { out } = options
  await checkOutputs({ reads: [], writes: [join(out, RESULTS_FILE), join(out, REPORT_HTML)] })
  const release = await lockOutputFolder(out)
  try {
    const old = (await files.list(out)).find(name => name === RESULTS_FILE || /^seed-\d+$/.test(name))
    if (old) throw new CheckpointError(`${out} already holds ${old} of an earlier run; name a new folder`)
    return await run(experiment, options)
  } finally {
    await release()
  }
}

async function run(experiment: Experiment, options: PlantedOptions): Promise<number> {
  const { out, quick = false, json } = options
  const started = Date.now()
  const stream = talkStream(json)
  const seeds = Array.from({ length: options.seeds }, (_, i) => options.seed + i)
  const trials: Figures[] = []
  /** Of the first seed's trainings: other seeds' rows are others, so that figures do not compare. */
  const reports: RunReport[] = []
  const gpu = await openGpu({ adapter: options.adapter })
  try {
    const processor = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'processor unknown'}`
    stream.write(`${experiment.title}\n${gpu.adapter.line}\nprocessor: ${processor}\n`)
    for (const seed of seeds) {
      const folder = join(out, `seed-${seed}`)
      await files.makeFolder(folder)
      const bench = { gpu, seed, folder, quick, stream, reports: trials.length ? [] : reports }
      trials.push(await experiment.trial(bench))
    }
    const checks = experiment.checks(trials, quick)
    const seconds = (Date.now() - started) / 1000
    const results = {
      experiment: experiment.name,
      quick,
      version: VERSION,
      adapter: gpu.adapter.line,
      processor,
      source: experiment.source,
      rows: experiment.rows,
      trials: trials.map((figures, i) => ({ seed: seeds[i]!, figures })),
      checks,
      pass: checks.every(({ pass }) => pass),
      seconds,
    }
    // What neither predicts clicks nor orders lists, as pretraining, has no figures to stand beside the others'.
    const clickModels = reports.filter(
      ({ metrics }) => metrics && ('roc_auc' in metrics || 'ndcg@10' in metrics),
    )
    if (clickModels.length) await writeReportPage(join(out, REPORT_HTML), clickModels)
    await writeJson(join(out, RESULTS_FILE), results)
    if (json) process.stdout.write(`${JSON.stringify(results)}\n`)
    else {
      stream.write(`\n${resultTable(experiment, trials, seeds)}\n${experiment.source}\n\n`)
      stream.write(`${checkLines(checks)}\n\n${results.pass ? 'passed' : 'failed'} `)
      stream.write(`in ${formatSeconds(seconds)}; models, results.json and report.html are in ${out}\n`)
    }
    return results.pass ? 0 : 1
  } finally {
    gpu.close()
  }
}
