import { join } from 'node:path'
import { parseTrainingConfig } from '../../config/index.ts'
import { readJson, writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import { formatMetrics, prepareOutputFolder, REPORT_HTML } from '../../train/index.ts'
import { fit, runName, saveResult } from '../fit.ts'
import { checkSupported, readRows } from '../inputs.ts'
import { formatSeconds } from '../progress.ts'
import { shown, talkStream } from '../say.ts'
import { formatTable } from '../table.ts'

export interface TrainOptions {
  config: string
  train: string[]
  eval?: string[]
  out: string
  /** true where the option stands without a folder. */
  resume?: string | true
  adapter?: string
  json?: boolean
}

/** Exit code of a process that SIGINT ended, as shells count it. */
const INTERRUPTED = 130

/** Trains the model of a configuration file, and saves it with its checkpoints; 130 when Ctrl-C ended it. */
export async function run(options: TrainOptions): Promise<number | undefined> {
  const { out, json, resume } = options
  const started = Date.now()
  const stream = talkStream(json)
  const { trainer, ...config } = parseTrainingConfig(await readJson(options.config), options.config)
  checkSupported(config, options.config)
  await prepareOutputFolder(out, { resume: resume !== undefined })
  const train = await readRows(options.train, config, trainer)
  const evaluation = options.eval && (await readRows(options.eval, config, trainer))
  const gpu = await openGpu({ adapter: options.adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    await writeJson(join(out, 'training_args.json'), trainer)
    const fitted = await fit({
      gpu,
      config,
      trainer,
      train,
      evaluation,
      output: out,
      resume,
      stream,
      name: runName(out),
      onLog: json ? entry => void process.stdout.write(`${JSON.stringify(entry)}\n`) : undefined,
    })
    const { model, state, metrics, interrupted } = fitted
    if (interrupted) {
      const { global_step: step, max_steps } = state
      process.stderr.write(
        `interrupted after step ${step} of ${max_steps}; ${out}/checkpoint-${step} is saved, --resume goes on from it\n`,
      )
      return INTERRUPTED
    }
    const parameters = model.numParameters()
    await saveResult(fitted, out)
    const seconds = (Date.now() - started) / 1000
    if (json) {
      const { global_step: steps } = state
      const result = { model: out, parameters, rows: train.length, steps, seconds, metrics: metrics ?? null }
      process.stdout.write(`${JSON.stringify(result)}\n`)
      return undefined
    }
    if (metrics)
      stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
    stream.write(
      `\n${state.global_step} steps in ${formatSeconds(seconds)}; the model is in ${out}, the report in ${join(out, REPORT_HTML)}\n`,
    )
    return undefined
  } finally {
    gpu.close()
  }
}
