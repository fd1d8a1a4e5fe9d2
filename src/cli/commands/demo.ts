import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readColumns } from '../../data/index.ts'
import { writeSyntheticRaw } from '../../datasets/index.ts'
import { preprocessKdd } from '../../datasets/kdd/index.ts'
import { type Gpu, openGpu } from '../../gpu/index.ts'
import { binaryMetrics, lockOutputFolder, WEIGHTS_FILE } from '../../train/index.ts'
import { comparePair, comparisonTable, PAIR, type Scores, scoresOf } from '../compare.ts'
import { demoModels } from '../demo-models.ts'
import { formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'

export interface DemoOptions {
  out: string
  rows: number
  seed: number
  adapter?: string
  json?: boolean
}

/** Makes raw click data with a planted signal, preprocesses it, trains with and without tabular features, and compares. */
export async function run({ out, rows, seed, adapter, json }: DemoOptions): Promise<void> {
  const release = await lockOutputFolder(out)
  try {
    await demo({ out, rows, seed, adapter, json })
  } finally {
    await release()
  }
}

async function demo({ out, rows, seed, adapter, json }: DemoOptions): Promise<void> {
  const started = Date.now()
  const stream = talkStream(json)
  const gpu = await openGpu({ adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    // Models of an earlier demo do not belong to the data that is made now. Only the demo's own files are touched.
    for (const name of PAIR) await rm(join(out, name, WEIGHTS_FILE), { force: true })
    const results = await compare(gpu, { out, rows, seed, stream })
    if (json) {
      process.stdout.write(`${JSON.stringify(results)}\n`)
      return
    }
    const seconds = formatSeconds((Date.now() - started) / 1000)
    stream.write(
      `\n${comparisonTable(results)}\n\ndone in ${seconds}; next, score a file with the trained model:\n`,
    )
    stream.write(
      `npx kernelgrad predict --model ${join(out, 'text_tabular')} --data ${join(out, 'data', 'test.parquet')} --out ${join(out, 'predictions.parquet')}\n`,
    )
  } finally {
    gpu.close()
  }
}

interface Demo {
  out: string
  rows: number
  seed: number
  stream: NodeJS.WriteStream
}

async function compare(gpu: Gpu, { out, rows, seed, stream }: Demo): Promise<Record<string, Scores>> {
  // A quarter of the training rows tells AUCs apart to about 0.01 at the default size.
  const testRows = Math.ceil(rows / 4)
  const all = rows + testRows
  const raw = join(out, 'raw')
  const probability = await writeSyntheticRaw({ folder: raw, rows: all, seed })
  const data = await preprocessKdd({
    input: raw,
    output: join(out, 'data'),
    rows: all,
    seed,
    testShare: testRows / all,
  })
  stream.write(
    `${all.toLocaleString('en-US')} lines of raw text in ${raw}, preprocessed into ${join(out, 'data')}\n`,
  )
  const results = await comparePair(gpu, {
    models: demoModels(data.features, { seed, rows }),
    train: [data.train],
    evaluation: [data.test],
    out,
    checkpoints: false,
    stream,
  })
  // keyword_id is the line that the row came from, which knows the true probability.
  const { label, keyword_id } = await readColumns(data.test, ['label', 'keyword_id'])
  const truth = Float64Array.from(keyword_id!, line => probability[Number(line)]!)
  return { ...results, best_possible: scoresOf(binaryMetrics(label!.map(Number), truth)) }
}
