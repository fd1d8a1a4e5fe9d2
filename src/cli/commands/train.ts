import { join } from 'node:path'
import { writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import { formatMetrics, prepareOutputFolder, tokenizerOf } from '../../train/index.ts'
import { fit, saveResult } from '../fit.ts'
import { readRows, readTrainingConfig } from '../inputs.ts'
import { formatSeconds } from '../progress.ts'
import { shown, talkStream } from '../say.ts'
import { formatTable } from '../table.ts'

export interface TrainOptions {
  config: string
  train: string[]
  eval?: string[]
  out: string
  adapter?: string
  json?: boolean
}

/** Trains the model of a configuration file, and saves it with its checkpoints. */
export async function run(options: TrainOptions): Promise<void> {
  const { out, json } = options
  const started = Date.now()
  const stream = talkStream(json)
  const { trainer, ...config } = await readTrainingConfig(options.config)
  const tokenizer = await tokenizerOf(config, config.model_name)
  await prepareOutputFolder(out)
  const reading = { truncate: trainer.truncate, tokenizer }
  const train = await readRows(options.train, config, reading)
  const evaluation = options.eval && (await readRows(options.eval, config, reading))
  const gpu = await openGpu({ adapter: options.adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    await writeJson(join(out, 'training_args.json'), trainer)
    const { model, state, metrics } = await fit({
      gpu,
      config,
      trainer,
      train,
      evaluation,
      tokenizer,
      output: out,
      stream,
    })
    const parameters = model.numParameters()
    await saveResult(model, out)
    const seconds = (Date.now() - started) / 1000
    if (json) {
      const { global_step: steps } = state
      const result = { model: out, parameters, rows: train.length, steps, seconds, metrics: metrics ?? null }
      process.stdout.write(`${JSON.stringify(result)}\n`)
      return
    }
    if (metrics)
      stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
    stream.write(`\n${state.global_step} steps in ${formatSeconds(seconds)}; the model is in ${out}\n`)
  } finally {
    gpu.close()
  }
}
