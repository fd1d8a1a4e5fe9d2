import { join } from 'node:path'
import type { FeatureSizes } from '../../config/index.ts'
import { preprocessKdd } from '../../datasets/kdd/index.ts'
import { InterruptedError, onInterrupt } from '../interrupt.ts'
import { createProgress, formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'
import { count, formatTable } from '../table.ts'

export interface PreprocessCommandOptions {
  folder: string
  out: string
  rows: number
  seed: number
  memory: number
  json?: boolean
}

/** Turns raw KDD Cup 2012 track 2 files into Parquet; a signal removes what is half done. */
export async function run(options: PreprocessCommandOptions): Promise<void> {
  const { folder, out, rows, seed, memory, json } = options
  const started = Date.now()
  const stream = talkStream(json)
  const abort = new AbortController()
  const letGo = onInterrupt(() => abort.abort())
  try {
    const { features, ...files } = await preprocessKdd({
      input: folder,
      output: out,
      rows,
      seed,
      memoryMiB: memory,
      signal: abort.signal,
      onStage(label) {
        const progress = createProgress({ total: 100, label, stream })
        return {
          update: share => progress.update({ done: Math.floor(100 * share) }),
          done() {
            progress.update({ done: 100 })
            progress.stop()
          },
        }
      },
    })
    const seconds = (Date.now() - started) / 1000
    if (json) {
      process.stdout.write(`${JSON.stringify({ ...files, ...features, seconds })}\n`)
      return
    }
    stream.write(`\n${sizesTable(features)}\n\ndone in ${formatSeconds(seconds)}; train with:\n`)
    stream.write(
      `npx kernelgrad train --config model.json --features ${files.featuresFile} --train ${files.train} --eval ${files.test} --out ${join('runs', 'mine')}\n`,
    )
  } catch (error) {
    if (!abort.signal.aborted) throw error
    throw new InterruptedError(`stopped; ${out} is as it was`, { cause: error })
  } finally {
    letGo()
  }
}

function sizesTable({ rows, clicks, vocab_size, features_config }: FeatureSizes): string {
  const codes = Object.entries(features_config).flatMap(([name, { vocab_size: size }]) =>
    size === undefined ? [] : [[`${name} codes`, count(size)]],
  )
  return formatTable(
    ['', 'number'],
    [
      ['rows read', count(rows.read)],
      ['training rows', count(rows.train)],
      ['with a click', count(clicks.train)],
      ['test rows', count(rows.test)],
      ['with a click', count(clicks.test)],
      ['word ids, padding included', count(vocab_size)],
      ...codes,
    ],
  )
}
