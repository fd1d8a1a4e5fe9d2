// A table of one's own to training and test rows, and what was learned on the way.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeJson } from '../data/files.ts'
import { files as fileSystem } from '../data/files-node.ts'
import { passed } from '../data/replace-node.ts'
import { type Database, openDatabase } from '../datasets/database.ts'
import { publish, takeFolder, workFolder } from '../datasets/work-folder.ts'
import { DataError } from '../errors.ts'
import { columnsOf, type Work } from './columns.ts'
import { PREPARATION_FILE, type PreparationDocument } from './document.ts'
import { formatOf } from './formats.ts'
import { groupsBy, groupsOf } from './groups-node.ts'
import { askedOf, checkTrained, formatAsked, labelOf } from './label.ts'
import { featuresOf, modelOf } from './model-config.ts'
import type { PrepareResult, ResolvedPrepareOptions } from './options.ts'
import { placeOf } from './place.ts'
import { Preparation, TOKENIZER_FOLDER } from './preparation.ts'
import { writePrepared } from './rows.ts'
import { splitRows } from './split.ts'
import { readTable } from './table.ts'
import { makeTokenizer } from './tokenizer.ts'

const TRAIN = 'train.parquet'
const TEST = 'test.parquet'
const FEATURES = 'features.json'
const MODEL = 'model.json'

/** See `prepareTable`. */
export async function prepare(options: ResolvedPrepareOptions): Promise<PrepareResult> {
  const { output, memoryMiB, signal } = options
  await checkPlaces(options)
  const release = await takeFolder(output)
  try {
    const folder = await workFolder(output, [TRAIN, TEST, FEATURES, MODEL, PREPARATION_FILE])
    try {
      const otherwise = ''
      const db = await openDatabase({ folder, memoryMiB, otherwise, ...(signal ? { signal } : {}) })
      try {
        await db.keepOrder(true)
        return await build(db, folder, options)
      } finally {
        db.close()
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
      passed(folder)
    }
  } finally {
    await release()
  }
}

/** No result takes the place of a file that is read. */
async function checkPlaces({ inputs, output }: ResolvedPrepareOptions): Promise<void> {
  const identity = (path: string) => fileSystem.identity(path).catch(() => undefined) // What is not there yet has none.
  for (const name of [TRAIN, TEST, FEATURES, MODEL, PREPARATION_FILE]) {
    const id = await identity(join(output, name))
    for (const input of inputs)
      if (id !== undefined && id === (await identity(input)))
        throw new DataError(`${join(output, name)} is ${input}, which is read; name another folder`)
  }
  const out = await identity(output)
  for (const input of inputs)
    if (out !== undefined && !formatOf(input) && out === (await identity(input)))
      throw new DataError(`${output} is the folder that is read; name another for the result`)
}

async function build(db: Database, folder: string, options: ResolvedPrepareOptions): Promise<PrepareResult> {
  const { output, seed, onStage } = options
  const stage = async <T>(
    name: string,
    work: (update: (share: number) => void) => Promise<T>,
  ): Promise<T> => {
    const progress = onStage?.(name)
    const result = await work(share => progress?.update(Math.min(1, share)))
    progress?.done()
    return result
  }
  const { delimiter } = options
  const table = await stage('read', onProgress =>
    readTable(db, options.inputs, { folder, delimiter, onProgress }),
  )
  const asked = askedOf(options, table)
  const at = (row: number) => placeOf(table.files, row)
  const also = new Set(options.missing)
  const { split } = options
  const format = formatAsked(split.column === undefined ? undefined : asked[split.column])
  const test = await splitRows(db, table, { ...split, seed }, also, { at, format })
  const all = () => groupsOf(db, { name: options.label, where: 'true', classes: [] })
  const label = await labelOf(all, table, options, also)
  const groups = await groupsBy(db, { label, test, of: options.label })
  const work: Work = { table, options, asked, also, label, groups }
  await checkTrained(work)
  const { columns, shown, texts } = await stage('learn', onProgress => columnsOf(work, onProgress))
  const document: PreparationDocument = { kernelgrad_preparation: 1, columns, missing: options.missing }
  const tokenizer = texts.length
    ? await stage('learn words', onProgress => makeTokenizer(work, texts, document, folder, onProgress))
    : undefined
  const preparation = new Preparation(document, tokenizer?.tokenize)
  const trained = [preparation.label, preparation.weight].filter(name => name !== undefined)
  if (!preparation.prepared.length)
    throw new DataError(
      `no column is left to learn from: ${shown.map(({ name, says }) => `'${name}' ${says}`).join('; ')}; ask for one with a role (--role)`,
    )
  const counts = { read: table.rows, train: 0, test: 0 }
  for (const [part, where, name] of [
    ['train', `NOT (${test})`, TRAIN],
    ['test', test, TEST],
  ] as const) {
    if (where === 'false') continue
    await stage(`write ${name}`, async onProgress => {
      const onRows = (rows: number) => onProgress(rows / table.rows)
      counts[part] = await writePrepared(db, table, preparation, join(folder, name), {
        ...{ where, trained, onRows },
      })
    })
  }
  document.split = {
    ...{ by: split.by, seed, test_share: split.share, train: counts.train, test: counts.test },
    ...(split.column === undefined ? {} : { column: split.column }),
  }
  const features = featuresOf(preparation, { counts, seed, columns: shown })
  await writeJson(join(folder, FEATURES), features)
  await writeJson(join(folder, MODEL), modelOf(preparation, counts))
  await writeJson(join(folder, PREPARATION_FILE), document)
  const tested = counts.test > 0
  if (!tested) await rm(join(output, TEST), { force: true })
  if (tokenizer) await mkdir(join(output, TOKENIZER_FOLDER), { recursive: true })
  else await rm(join(output, TOKENIZER_FOLDER), { recursive: true, force: true })
  const words = tokenizer?.files.map(name => join(TOKENIZER_FOLDER, name)) ?? []
  await publish(folder, output, [
    ...[TRAIN, tested ? TEST : [], FEATURES, MODEL].flat(),
    ...words,
    PREPARATION_FILE,
  ])
  return {
    train: join(output, TRAIN),
    ...(tested ? { test: join(output, TEST) } : {}),
    modelFile: join(output, MODEL),
    featuresFile: join(output, FEATURES),
    rows: counts,
    classes: label.classes,
    columns: shown,
  }
}
