import { join } from 'node:path'
import type { FeatureSizes } from '../../config/index.ts'
import { type KddListKey, preprocessKdd } from '../../datasets/kdd/index.ts'
import { type PreprocessUltrResult, preprocessUltr } from '../../datasets/ultr/index.ts'
import { UsageError } from '../../errors.ts'
import { inStages, type Made, type Staged } from '../in-stages.ts'
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

type Work = (options: PreprocessCommandOptions, how: Staged) => Promise<Made>

const FORMATS = { kdd, ultr } satisfies Record<string, Work>

/** Turns raw files into Parquet; a signal removes what is half done. */
export const run = (options: PreprocessCommandOptions): Promise<void> =>
  inStages(options, how => FORMATS[options.format](options, how))

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
    told: time =>
      `\n${sizesTable(features)}\n\ndone in ${time}; train with:\n` +
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
    told: time =>
      `\n${sessionsTable(result)}\n\ndone in ${time}: ${[files.train, files.test, files.annotated ?? []].flat().join(', ')}\n`,
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
