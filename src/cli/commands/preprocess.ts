import { join } from 'node:path'
import type { FeatureSizes } from '../../config/index.ts'
import { type KddListKey, preprocessKdd } from '../../datasets/kdd/index.ts'
import { type PreprocessUltrResult, preprocessUltr } from '../../datasets/ultr/index.ts'
import { UsageError } from '../../errors.ts'
import { InterruptedError, onInterrupt } from '../interrupt.ts'
import { createProgress, formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'
import { count, formatTable } from '../table.ts'

export interface PreprocessCommandOptions {
  folder: string
  out: string
  format: keyof typeof FORMATS
  rows?: number
  lists?: KddListKey
  seed: number
  memory?: number
  json?: boolean
}

/** What a format's work ends with: the result as JSON, and as a person reads it. */
interface Made {
  json: object
  told: string
}
type Work = (
  options: PreprocessCommandOptions,
  how: { signal: AbortSignal; onStage: (label: string) => { update(share: number): void; done(): void } },
) => Promise<Made>

const FORMATS = { kdd, ultr } satisfies Record<string, Work>

/** Turns raw files into Parquet; a signal removes what is half done. */
export async function run(options: PreprocessCommandOptions): Promise<void> {
  const { out, format, json } = options
  const started = Date.now()
  const stream = talkStream(json)
  const abort = new AbortController()
  const letGo = onInterrupt(() => abort.abort())
  try {
    const made = await FORMATS[format](options, {
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
    if (json) process.stdout.write(`${JSON.stringify({ ...made.json, seconds })}\n`)
    else stream.write(made.told.replace('{time}', formatSeconds(seconds)))
  } catch (error) {
    if (!abort.signal.aborted) throw error
    throw new InterruptedError(`stopped; ${out} is as it was`, { cause: error })
  } finally {
    letGo()
  }
}

async function kdd(...[options, how]: Parameters<Work>): Promise<Made> {
  const { folder, out, rows, lists, seed, memory } = options
  const { features, ...files } = await preprocessKdd({
    ...{ input: folder, output: out, seed, ...how },
    ...(rows === undefined ? {} : { rows }),
    ...(lists === undefined ? {} : { lists }),
    ...(memory === undefined ? {} : { memoryMiB: memory }),
  })
  return {
    json: { ...files, ...features },
    told:
      `\n${sizesTable(features)}\n\ndone in {time}; train with:\n` +
      `npx kernelgrad train --config model.json --features ${files.featuresFile} --train ${files.train} --eval ${files.test} --out ${join('runs', 'mine')}\n`,
  }
}

async function ultr(...[options, how]: Parameters<Work>): Promise<Made> {
  const { folder, out, seed } = options
  for (const name of ['rows', 'lists', 'memory'] as const)
    if (options[name] !== undefined)
      throw new UsageError(`--${name} is for --format kdd; session files are read whole, a piece at a time`)
  const result = await preprocessUltr({ input: folder, output: out, seed, ...how })
  const { features, ...files } = result
  return {
    json: { ...files, ...features },
    told: `\n${sessionsTable(result)}\n\ndone in {time}: ${[files.train, files.test, files.annotated ?? []].flat().join(', ')}\n`,
  }
}

function sessionsTable({ features: { rows, clicks }, sessions, judged }: PreprocessUltrResult): string {
  return formatTable(
    ['', 'number'],
    [
      ['training sessions', count(sessions.train)],
      ['documents', count(rows.train)],
      ['with a click', count(clicks.train)],
      ['test sessions', count(sessions.test)],
      ['documents', count(rows.test)],
      ['with a click', count(clicks.test)],
      ['sessions without a text', count(sessions.empty)],
      ['judged documents', count(judged.rows)],
      ['of queries', count(judged.queries)],
    ],
  )
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
