/** Baidu-ULTR's files to Parquet that models train on and are judged by. */
import { files } from '#files'
import { BELOW_ONE, expectNumber, expectOptions, shown } from '../../check.ts'
import type { FeatureSizes } from '../../config/index.ts'
import { isThere, reason, writeJson } from '../../data/files.ts'
import { randomStream } from '../../data/shuffle.ts'
import { ArgumentError, DataError } from '../../errors.ts'
import type { StageProgress } from '../kdd/index.ts'
import { type Outlet, outlet } from '../outlet.ts'
import { readAnnotated } from './annotated.ts'
import { frequencyOf, type UltrSession } from './format.ts'
import { ULTR_IDS, ULTR_VOCAB_SIZE } from './join.ts'
import { readSessions } from './sessions.ts'

/** Where the files are, and where the result goes. */
export interface PreprocessUltrOptions {
  /** Folder with session files, `part-*`, and at most one annotated file, whose name holds `annotat`. */
  input: string
  /** Folder for train.parquet, test.parquet, annotated.parquet and features.json; made where it is missing. */
  output: string
  /** Decides which queries are test queries, default 42. */
  seed?: number
  /** Share of the queries whose sessions are test rows, default 0.1. */
  testShare?: number
  /** Stops the work and removes what it has made so far. */
  signal?: AbortSignal
  /** Called at the start of each file; what it returns hears the share done, from 0 to 1, and the end. */
  onStage?: (name: string) => StageProgress
}

/** What preprocessing made. */
export interface PreprocessUltrResult {
  /** Paths of the rows of training and of test queries. */
  train: string
  test: string
  /** Path of the judged documents, where the input has some. */
  annotated?: string
  featuresFile: string
  features: FeatureSizes
  /** Sessions by file, and those that no document is left of. */
  sessions: { train: number; test: number; empty: number }
  /** Judged documents, and their queries. */
  judged: { rows: number; queries: number }
}

const NAMES = {
  train: 'train.parquet',
  test: 'test.parquet',
  annotated: 'annotated.parquet',
  features: 'features.json',
}
const GROUP_ROWS = 16_384
const KNOWN = ['input', 'output', 'seed', 'testShare', 'signal', 'onStage']

const TEXTS = { query: 'list<int64>', title: 'list<int64>', abstract: 'list<int64>' } as const
const SESSION = {
  list: 'int64',
  qid: 'int64',
  position: 'int64',
  ...TEXTS,
  click: 'int64',
  label: 'int64',
  skip: 'int64',
  dwell: 'double',
  media: 'int64',
  serp_height: 'double',
} as const
const JUDGED = {
  list: 'int64',
  qid: 'int64',
  ...TEXTS,
  label: 'int64',
  bucket: 'int64',
  frequency: 'string',
} as const

type Rows = Outlet<Record<string, unknown>>

/**
 * Turns session files into Parquet, a row a document, and the annotated file into another. Of session files: `list` (the session's number),
 * `qid`, `position` (from 0, the row of a table of positions), `query`, `title` and `abstract` (token ids, moved by 10 for the special
 * ones), `click` and the same as `label`, `skip`, `dwell` (seconds), `media`, `serp_height`. Sessions of one query are all in train.parquet or all in
 * test.parquet. Of the annotated file: `list` (the query's number), `qid`, the texts, `label` (0 to 4), `bucket` (0 to 9) and `frequency`
 * (high, middle, tail). Sessions that no document is left of are in neither file.
 *
 * The files appear only once all have been read, and what is in `output` stays as it was when anything fails.
 * @throws DataError as `readSessions` and `readAnnotated`; for a token id that the vocabulary of 22,000 has no room for; where no session file, no row
 * to train on, or more than one annotated file is there; or what the file system refuses.
 */
export async function preprocessUltr(options: PreprocessUltrOptions): Promise<PreprocessUltrResult> {
  expectOptions('preprocessUltr: options', options, KNOWN)
  const { input, output, seed = 42, testShare = 0.1, signal } = options
  for (const [name, path] of Object.entries({ input, output }))
    if (typeof path !== 'string')
      throw new ArgumentError(`preprocessUltr: ${name} is ${shown(path)}, expected a folder`)
  expectNumber('preprocessUltr: testShare', testShare, BELOW_ONE)
  randomStream(seed)
  const { parts, judged } = await findFiles(input, output)
  const release = await takeFolder(output)
  const path = (name: keyof typeof NAMES) => files.join(output, NAMES[name])
  const outlets: Rows[] = []
  const open = (name: keyof typeof NAMES, columns: typeof SESSION | typeof JUDGED): Rows => {
    outlets.push(outlet(path(name), columns, GROUP_ROWS))
    return outlets.at(-1)!
  }
  try {
    if (!judged && (await isThere(path('annotated'))))
      throw new DataError(
        `${path('annotated')} is there, and ${input} has no annotated file that could take its place; remove it, or write elsewhere`,
      )
    const [train, test] = [open('train', SESSION), open('test', SESSION)]
    const done = await writeSessionRows(parts, { train, test }, { seed, testShare, options })
    if (!train.rows)
      throw new DataError(`${input}: none of ${test.rows} rows is of a training query; take another seed`)
    const rows = judged === undefined ? undefined : open('annotated', JUDGED)
    const queries = judged !== undefined && rows ? await writeJudgedRows(judged, rows, options) : 0
    signal?.throwIfAborted()
    const features: FeatureSizes = {
      features_config: Object.fromEntries(
        Object.keys(TEXTS).map(name => [name, { dtype: 'token_id' as const }]),
      ),
      vocab_size: ULTR_VOCAB_SIZE,
      pad_token_id: ULTR_IDS.pad,
      num_labels: 2,
      rows: { read: train.rows + test.rows, train: train.rows, test: test.rows },
      clicks: done.clicks,
      seed,
    }
    // Should the machine stop from here on, no features.json is left to trust.
    await files.remove(path('features'))
    for (const one of outlets) await one.finish()
    await writeJson(path('features'), features)
    return {
      train: path('train'),
      test: path('test'),
      ...(judged ? { annotated: path('annotated') } : {}),
      featuresFile: path('features'),
      features,
      sessions: done.sessions,
      judged: { rows: rows?.rows ?? 0, queries },
    }
  } catch (error) {
    for (const one of outlets) await one.discard(error)
    throw error
  } finally {
    await release()
  }
}

async function findFiles(input: string, output: string): Promise<{ parts: string[]; judged?: string }> {
  const names = await files.list(input).catch(error => {
    throw new DataError(`cannot read ${input}: ${reason(error)}`, { cause: error })
  })
  const named = (pattern: RegExp) =>
    names
      .filter(name => pattern.test(name) && !name.endsWith('.parquet'))
      .sort()
      .map(name => files.join(input, name))
  const [parts, judged] = [named(/^part-/), named(/annotat/i)]
  if (!parts.length) throw new DataError(`${input} has no session files, expected part-*.gz`)
  if (judged.length > 1)
    throw new DataError(
      `${input} has ${judged.length} annotated files, ${judged.join(' and ')}, expected one`,
    )
  const ids = await Promise.all([...parts, ...judged].map(path => files.identity(path)))
  for (const name of Object.values(NAMES)) {
    const id = await files.identity(files.join(output, name))
    const at = id === undefined ? -1 : ids.indexOf(id)
    if (at >= 0)
      throw new DataError(
        `${files.join(output, name)} is ${[...parts, ...judged][at]}, which is read; name another folder`,
      )
  }
  return { parts, judged: judged[0] }
}

async function takeFolder(output: string): Promise<() => Promise<void>> {
  try {
    await files.makeFolder(output)
    return await files.lock(output)
  } catch (error) {
    if (!files.isError(error)) throw error
    throw new DataError(`cannot write into ${output}: ${reason(error)}`, { cause: error })
  }
}

/** Token ids as models read them. */
function moved(path: string, where: string, tokens: readonly number[]): number[] {
  return tokens.map(token => {
    const id = token + ULTR_IDS.offset
    if (id < ULTR_VOCAB_SIZE) return id
    throw new DataError(
      `${path}: ${where}: token ${token}, expected one below ${ULTR_VOCAB_SIZE - ULTR_IDS.offset}`,
    )
  })
}

interface Split {
  seed: number
  testShare: number
  options: PreprocessUltrOptions
}

async function writeSessionRows(
  paths: string[],
  to: { train: Rows; test: Rows },
  { seed, testShare, options: { signal, onStage } }: Split,
) {
  const sessions = { train: 0, test: 0, empty: 0 }
  const clicks = { train: 0, test: 0 }
  let list = 0
  for (const path of paths) {
    const stage = onStage?.(`read ${files.basename(path)}`)
    for await (const session of readSessions(path, { signal, onProgress: share => stage?.update(share) })) {
      if (!session.documents.length) {
        sessions.empty++
        continue
      }
      const part = randomStream(seed, ...session.query).uniform() < testShare ? 'test' : 'train'
      sessions[part]++
      for (const row of rowsOf(path, session, list++)) {
        clicks[part] += row.click
        await to[part].push(row)
      }
    }
    stage?.done()
  }
  return { sessions, clicks }
}

function rowsOf(path: string, { qid, query, documents }: UltrSession, list: number) {
  const where = `session of query ${qid}`
  const shared = { list, qid, query: moved(path, `${where}, query`, query) }
  return documents.map(({ position, title, abstract, click, skip, dwell, media, serpHeight }) => ({
    ...shared,
    position: position - 1,
    title: moved(path, `${where}, place ${position}, title`, title),
    abstract: moved(path, `${where}, place ${position}, abstract`, abstract),
    click,
    label: click,
    skip,
    dwell,
    media,
    serp_height: serpHeight,
  }))
}

async function writeJudgedRows(
  path: string,
  to: Rows,
  { signal, onStage }: PreprocessUltrOptions,
): Promise<number> {
  const stage = onStage?.(`read ${files.basename(path)}`)
  let queries = 0
  for await (const row of readAnnotated(path, { signal, onProgress: share => stage?.update(share) })) {
    const { list, qid, query, title, abstract, label, bucket } = row
    queries = Math.max(queries, list + 1)
    const where = (name: string) => `row ${to.rows}, ${name}`
    await to.push({
      ...{ list, qid, label, bucket, frequency: frequencyOf(bucket) },
      query: moved(path, where('query'), query),
      title: moved(path, where('title'), title),
      abstract: moved(path, where('abstract'), abstract),
    })
  }
  stage?.done()
  return queries
}
