import { join } from 'node:path'
import { parseFeatureSizes } from '../../config/index.ts'
import { readJson, writeJson } from '../../data/files.ts'
import { openGpu } from '../../gpu/index.ts'
import { lockOutputFolder, prepareOutputFolder, REPORT_HTML } from '../../train/index.ts'
import { comparePair, comparisonTable, type ModelPair, PAIR } from '../compare.ts'
import { demoModels, notebookModels } from '../demo-models.ts'
import { resultFiles } from '../fit.ts'
import { checkOutputs, inputs } from '../outputs.ts'
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
  const { out, seed, maxSteps } = options
  const sizes = parseFeatureSizes(await readJson(options.features), options.features)
  const models = SIZES[options.size](sizes, { seed, maxSteps })
  await checkOutputs({
    reads: [
      ...inputs('--train', options.train),
      ...inputs('--eval', options.eval),
      ...inputs('--features', options.features),
    ],
    writes: [
      join(out, RESULTS_FILE),
      join(out, REPORT_HTML),
      ...PAIR.flatMap(name => resultFiles(join(out, name))),
    ],
    runs: PAIR.map(name => join(out, name)),
  })
  const release = await lockOutputFolder(out)
  try {
    for (const name of PAIR) await prepareOutputFolder(join(out, name))
    await experiment(options, models)
  } finally {
    await release()
  }
}

const RESULTS_FILE = 'results.json'

async function experiment(options: ExperimentOptions, models: ModelPair): Promise<void> {
  const { out, json } = options
  const started = Date.now()
  const stream = talkStream(json)
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
    await writeJson(join(out, RESULTS_FILE), results)
    if (json) process.stdout.write(`${JSON.stringify({ ...results, seconds })}\n`)
    else {
      stream.write(`\n${comparisonTable(results)}\n`)
      stream.write(`\ndone in ${formatSeconds(seconds)}; models and results.json are in ${out}\n`)
    }
  } finally {
    gpu.close()
  }
}
