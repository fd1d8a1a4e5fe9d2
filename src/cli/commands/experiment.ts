import { join } from 'node:path'
import { parseFeatureSizes } from '../../config/index.ts'
import { readJson, writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import { prepareOutputFolder } from '../../train/index.ts'
import { comparePair, comparisonTable, PAIR } from '../compare.ts'
import { demoModels, notebookModels } from '../demo-models.ts'
import { formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'

export interface ExperimentOptions {
  train: string[]
  eval: string[]
  features: string
  out: string
  size: keyof typeof SIZES
  maxSteps?: number
  seed: number
  adapter?: string
  json?: boolean
}

/** The models to choose from. */
const SIZES = { notebook: notebookModels, demo: demoModels }

/** The notebook's experiment: the model with tabular features against the one without, on a pair of Parquet files. */
export async function run(options: ExperimentOptions): Promise<void> {
  const { out, seed, maxSteps, json } = options
  const started = Date.now()
  const stream = talkStream(json)
  const sizes = parseFeatureSizes(await readJson(options.features), options.features)
  const models = SIZES[options.size](sizes, { seed, maxSteps })
  for (const name of PAIR) await prepareOutputFolder(join(out, name))
  const gpu = await openGpu({ adapter: options.adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    const results = await comparePair(gpu, {
      models,
      train: options.train,
      evaluation: options.eval,
      out,
      checkpoints: true,
      stream,
    })
    const seconds = (Date.now() - started) / 1000
    await writeJson(join(out, 'results.json'), results)
    if (json) process.stdout.write(`${JSON.stringify({ ...results, seconds })}\n`)
    else {
      stream.write(`\n${comparisonTable(results)}\n`)
      stream.write(`\ndone in ${formatSeconds(seconds)}; models and results.json are in ${out}\n`)
    }
  } finally {
    gpu.close()
  }
}
