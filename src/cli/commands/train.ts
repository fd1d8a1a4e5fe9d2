import { join } from 'node:path'
import { writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import {
  formatMetrics,
  type LogEntry,
  prepareOutputFolder,
  REPORT_HTML,
  tokenizerOf,
  trainWithRecovery,
} from '../../train/index.ts'
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
  truncate?: boolean
  adapter?: string
  json?: boolean
}

/** Trains the model of a configuration file, and saves it with its checkpoints. */
export async function run(options: TrainOptions): Promise<void> {
  const { out, json, resume } = options
  const started = Date.now()
  const stream = talkStream(json)
  const note = (text: string) => stream.write(`note: ${text}\n`)
  const { trainer, ...config } = await readTrainingConfig(options.config, { ...options, note })
  const tokenizer = await tokenizerOf(config, config.model_name)
  await prepareOutputFolder(out, { resume: resume !== undefined })
  const reading = { truncate: trainer.truncate, tokenizer }
  const train = await readRows(options.train, config, reading)
  const evaluation = options.eval && (await readRows(options.eval, config, reading))
  const onLog = json
    ? (entry: LogEntry) => void process.stdout.write(`${JSON.stringify(entry)}\n`)
    : undefined
  await trainWithRecovery(
    {
      output: out,
      resumeFromCheckpoint: resume,
      open: () => openGpu({ adapter: options.adapter }),
      onRecovery(error, recovery, checkpoint) {
        const next = checkpoint ? `going on from ${checkpoint}` : 'starting anew'
        stream.write(`warning: ${error.message}; ${next} on another device (recovery ${recovery})\n`)
      },
    },
    async (gpu, from) => {
      stream.write(`${gpu.adapter.line}\n`)
      await writeJson(join(out, 'training_args.json'), trainer)
      const run = { gpu, config, trainer, train, evaluation, tokenizer, output: out, stream, onLog }
      const fitted = await fit({ ...run, resume: from || undefined, name: runName(out) })
      const { model, state, metrics } = fitted
      const parameters = model.numParameters()
      await saveResult(fitted, out)
      const seconds = (Date.now() - started) / 1000
      if (json) {
        const { global_step: steps } = state
        const result = {
          model: out,
          parameters,
          rows: train.length,
          steps,
          seconds,
          metrics: metrics ?? null,
        }
        process.stdout.write(`${JSON.stringify(result)}\n`)
        return
      }
      if (metrics)
        stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
      stream.write(
        `\n${state.global_step} steps in ${formatSeconds(seconds)}; the model is in ${out}, the report in ${join(out, REPORT_HTML)}\n`,
      )
    },
  )
}
