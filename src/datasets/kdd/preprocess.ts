/** KDD Cup 2012 track 2, raw text to a training and a test table in Parquet, larger than memory where need be. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expectOneOf } from '../../check.ts'
import type { FeatureSizes } from '../../config/index.ts'
import { writeJson } from '../../data/files.ts'
import { files as fileSystem } from '../../data/files-node.ts'
import { passed } from '../../data/replace-node.ts'
import { DataError } from '../../errors.ts'
import { type Database, DatabaseError, openDatabase, quoted } from '../database.ts'
import { publish, sync, takeFolder, workFolder } from '../work-folder.ts'
import { type Checked, checkRawFile } from './check.ts'
import type { PreprocessOptions, PreprocessResult } from './index.ts'
import { KDD_LIST_KEYS } from './lists.ts'
import { writePlainCopy } from './plain-copy.ts'
import { PROFILES, QUERIES, type RawFile, TITLES, TRAINING } from './raw-files.ts'
import {
  countTokens,
  joinRows,
  listRows,
  mapTexts,
  measure,
  readTraining,
  type TableFacts,
  tableQuery,
} from './tables.ts'

/** Rows of a row group: what a reader holds at once. A multiple of DuckDB's vector of 2,048. */
const ROW_GROUP_ROWS = 40_960
const TRAIN = 'train.parquet'
const TEST = 'test.parquet'
const FEATURES = 'features.json'
const RESULTS = [TRAIN, TEST, FEATURES]

type Stage = <T>(name: string, work: (onProgress: (share: number) => void) => Promise<T>) => Promise<T>

/** See `preprocessKdd`. */
export async function preprocess(options: PreprocessOptions): Promise<PreprocessResult> {
  const { input, output, rows = 1_000_000, lists, signal, onStage } = options
  if (lists !== undefined) expectOneOf('preprocessKdd: lists', lists, KDD_LIST_KEYS)
  const stage: Stage = async (name, work) => {
    const progress = onStage?.(name)
    const result = await work(share => progress?.update(share))
    progress?.done()
    return result
  }
  await checkPlaces(input, output)
  const checked = await checkFiles(input, rows, stage, signal)
  const release = await takeFolder(output)
  try {
    return await buildIn(output, checked, options, stage)
  } finally {
    await release()
  }
}

async function buildIn(
  output: string,
  checked: Checks,
  options: PreprocessOptions,
  stage: Stage,
): Promise<PreprocessResult> {
  const { input, memoryMiB = 768, signal } = options
  // On the same file system as the result, so that moving it there is a rename.
  const folder = await workFolder(output, RESULTS)
  try {
    const copies = await copyFiles(input, folder, checked, signal)
    const db = await openDatabase({ folder, memoryMiB, signal })
    try {
      return await build(db, { options, folder, counts: countsOf(checked), copies, stage })
    } finally {
      db.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
    passed(folder)
  }
}

/** No result takes a raw file's place, by whatever links it is reached. */
async function checkPlaces(input: string, output: string): Promise<void> {
  const raw = [TRAINING, TITLES, QUERIES, PROFILES].map(({ name }) => join(input, name))
  const ids = await Promise.all(raw.map(path => fileSystem.identity(path)))
  for (const name of RESULTS) {
    const id = await fileSystem.identity(join(output, name))
    const at = id === undefined ? -1 : ids.indexOf(id)
    if (at >= 0)
      throw new DataError(`${join(output, name)} is ${raw[at]}, which is read; name another folder`)
  }
}

/** The raw files, small ones first. */
const RAW_FILES = [PROFILES, TITLES, QUERIES, TRAINING]

/** Checks the raw files. */
async function checkFiles(input: string, rows: number, stage: Stage, signal?: AbortSignal): Promise<Checks> {
  const checks: Checks = new Map()
  for (const file of RAW_FILES) {
    const limit = file === TRAINING ? rows : undefined
    checks.set(
      file.name,
      await stage(`check ${file.name}`, onProgress =>
        checkRawFile(join(input, file.name), file, { rows: limit, signal, onProgress }),
      ),
    )
  }
  return checks
}

type Checks = Map<string, Checked>

/** Copies of the files that the database cannot be given as they are: where lines end differently, or more follows than was checked. */
async function copyFiles(
  input: string,
  folder: string,
  checks: Checks,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const copies = new Map<string, string>()
  for (const [name, { rows, plain }] of checks) {
    if (plain) continue
    copies.set(name, join(folder, name))
    await writePlainCopy(join(input, name), copies.get(name)!, { rows, signal })
  }
  return copies
}

const countsOf = (checks: Checks): Counts => {
  const rows = (file: RawFile) => checks.get(file.name)!.rows
  return { texts: rows(TITLES) + rows(QUERIES), read: rows(TRAINING) }
}

interface Counts {
  /** Titles and queries. */
  texts: number
  /** Rows of training.txt in use. */
  read: number
}

interface Build {
  options: PreprocessOptions
  folder: string
  counts: Counts
  copies: ReadonlyMap<string, string>
  stage: Stage
}

async function build(
  db: Database,
  { options, folder, counts, copies, stage: plainStage }: Build,
): Promise<PreprocessResult> {
  const { input, output, seed = 42, testShare = 0.1, lists } = options
  const work = { db, input, copies }
  const stage: Stage = (name, part) =>
    plainStage(name, part).catch(error => {
      if (error instanceof DatabaseError)
        error.message = `cannot ${name} from the raw files in ${input}: ${error.message}`
      throw error
    })
  await stage(`read ${TRAINING.name}`, onProgress => readTraining({ ...work, onProgress }, counts.read))
  const words = await stage('count tokens', onProgress => countTokens({ ...work, onProgress }, counts.texts))
  for (const file of [TITLES, QUERIES])
    await stage(`map ${file.name}`, onProgress => mapTexts({ ...work, onProgress }, file, words))
  await stage('join', onProgress => joinRows({ ...work, onProgress }, seed))
  if (lists) await stage('make lists', onProgress => listRows({ ...work, onProgress }, lists, seed))
  const facts = await stage('encode categories', onProgress => measure({ ...work, onProgress }))
  const split = await (lists ? drawQueries : drawTest)(db, facts, testShare)
  await db.keepOrder(true)
  for (const [name, where] of [
    [TRAIN, `NOT (${split.test})`],
    [TEST, split.test],
  ] as const) {
    await stage(`write ${name}`, async onProgress => {
      const path = join(folder, name)
      await db.run(
        `COPY (${tableQuery(facts, where, lists)}) TO ${quoted(path)} (FORMAT parquet, ROW_GROUP_SIZE ${ROW_GROUP_ROWS})`,
        onProgress,
      )
      await sync(path)
    })
  }
  const features: FeatureSizes = {
    features_config: {
      tokenized_title: { dtype: 'token_id' },
      tokenized_query: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      gender: { dtype: 'categorical', vocab_size: facts.codes.gender.size },
      age: { dtype: 'categorical', vocab_size: facts.codes.age.size },
      advertiser_id: { dtype: 'categorical', vocab_size: facts.codes.advertiser_id.size },
      user_id: { dtype: 'categorical', vocab_size: facts.codes.user_id.size },
    },
    vocab_size: words + 1,
    pad_token_id: words,
    num_labels: 2,
    rows: { read: counts.read, train: facts.rows - split.rows, test: split.rows },
    clicks: { train: facts.clicks - split.clicks, test: split.clicks },
    seed,
  }
  await writeJson(join(folder, FEATURES), features)
  await publish(folder, output, RESULTS)
  return {
    train: join(output, TRAIN),
    test: join(output, TEST),
    featuresFile: join(output, FEATURES),
    features,
  }
}

/**
 * Decides the test rows: of each label, the share with the lowest hashes.
 * @returns the rows as a condition, and how many they are.
 */
async function drawTest(db: Database, { rows, clicks }: TableFacts, share: number) {
  if (Math.min(clicks, rows - clicks) < 2) {
    throw new DataError(
      `${clicks} of ${rows} rows have a click, expected at least 2 rows with and 2 without for a split by label`,
    )
  }
  const part = (n: number, wanted: number) => Math.min(Math.max(wanted, 1), n - 1)
  const testClicks = part(clicks, Math.round(clicks * share))
  const others = part(rows - clicks, Math.ceil(rows * share) - testClicks)
  const limit = async (label: string, n: number) => {
    const [last] = await db.run(
      `SELECT hash::VARCHAR AS hash FROM joined WHERE ${label} ORDER BY joined.hash LIMIT 1 OFFSET ${n - 1}`,
    )
    return `(${label} AND hash <= ${last!.hash}::UBIGINT)`
  }
  const test = `${await limit('click > 0', testClicks)} OR ${await limit('click = 0', others)}`
  return { test, rows: testClicks + others, clicks: testClicks }
}

/** Of lists, all those of the queries with the lowest hashes, until they have as many rows as wanted. */
async function drawQueries(db: Database, { rows }: TableFacts, share: number) {
  const [last] = await db.run(
    `SELECT hash::VARCHAR AS hash, upto FROM (
       SELECT hash, sum(count(*)) OVER (ORDER BY hash) AS upto, row_number() OVER (ORDER BY hash DESC) AS back
       FROM joined GROUP BY hash
     ) WHERE upto >= ${Math.max(1, Math.round(rows * share))} OR back = 2 ORDER BY hash LIMIT 1`,
  )
  const test = `hash <= ${last!.hash}::UBIGINT`
  const [counted] = await db.run(
    `SELECT count(*) AS rows, count(*) FILTER (click > 0) AS clicks FROM joined WHERE ${test}`,
  )
  return { test, rows: Number(counted!.rows), clicks: Number(counted!.clicks) }
}
