import { join } from 'node:path'
import { writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import { formatMetrics, prepareOutputFolder, REPORT_HTML, tokenizerOf } from '../../train/index.ts'
import { fit, runName, saveResult } from '../fit.ts'
import { readRows } from '../inputs.ts'
import { formatSeconds } from '../progress.ts'
import { shown, talkStream } from '../say.ts'
import { formatTable } from '../table.ts'
import { readTrainingConfig } from '../training-config.ts'

export interface TrainOptions {
  config: string
  features?: string
  train: string[]
  eval?: string[]
  out: string
  /** true where the option stands without a folder. */
  resume?: string | true
  adapter?: string
  json?: boolean
}

/** Trains the model of a configuration file, and saves it with its checkpoints. */
export async function run(options: TrainOptions): Promise<void> {
  const { out, json, resume } = options
  const started = Date.now()
  const stream = talkStream(json)
  const { trainer, ...config } = await readTrainingConfig(options.config, options.features)
  const tokenizer = await tokenizerOf(config, config.model_name)
  await prepareOutputFolder(out, { resume: resume !== undefined })
  const reading = { truncate: trainer.truncate, tokenizer }
  const train = await readRows(options.train, config, reading)
  const evaluation = options.eval && (await readRows(options.eval, config, reading))
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
      tokenizer,
      output: out,
      resume,
      stream,
      name: runName(out),
      onLog: json ? entry => void process.stdout.write(`${JSON.stringify(entry)}\n`) : undefined,
    })
    const { model, state, metrics } = fitted
    const parameters = model.numParameters()
    await saveResult(fitted, out)
    const seconds = (Date.now() - started) / 1000
    if (json) {
      const { global_step: steps } = state
      const result = { model: out, parameters, rows: train.length, steps, seconds, metrics: metrics ?? null }
      process.stdout.write(`${JSON.stringify(result)}\n`)
      return
    }
    if (metrics)
      stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
    stream.write(
      `\n${state.global_step} steps in ${formatSeconds(seconds)}; the model is in ${out}, the report in ${join(out, REPORT_HTML)}\n`,
    )
  } finally {
    gpu.close()
  }
}
