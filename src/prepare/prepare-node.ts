// A table of one's own to training and test rows, and what was learned on the way.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeJson } from '../data/files.ts'
import { files as fileSystem } from '../data/files-node.ts'
import { passed } from '../data/replace-node.ts'
import { type Database, openDatabase } from '../datasets/database.ts'
import { publish, takeFolder, workFolder } from '../datasets/work-folder.ts'
import { DataError } from '../errors.ts'
import { type AskedColumn, expectColumn } from './asked.ts'
import { columnsOf, groupsOf, type Work } from './columns.ts'
import { type Learned, PREPARATION_FILE, type PreparationDocument } from './document.ts'
import { learnLabel } from './learn.ts'
import { featuresOf, modelOf } from './model-config.ts'
import { observe, typeOf } from './observe.ts'
import type { PrepareResult, ResolvedPrepareOptions } from './options.ts'
import { placeOf } from './place.ts'
import { Preparation, TOKENIZER_FOLDER } from './preparation.ts'
import { writePrepared } from './rows.ts'
import { splitRows } from './split.ts'
import { formatOf, type RawTable, readTable } from './table.ts'
import { makeTokenizer } from './tokenizer.ts'
import { isMissing, keyOf, numberOf } from './values.ts'

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
  const label = await labelOf(db, table, options, also)
  const work: Work = { db, table, options, asked, also, test, label }
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

const formatAsked = (column: AskedColumn | undefined) =>
  column && 'date_format' in column ? column.date_format : undefined

/** What is asked of columns, and label and weight among it. */
function askedOf(options: ResolvedPrepareOptions, { columns }: RawTable): Record<string, AskedColumn> {
  const there = columns.map(({ name }) => name)
  // Without a prototype: a column may be called 'constructor'.
  const asked: Record<string, AskedColumn> = Object.assign(Object.create(null), options.columns)
  const set = (name: string | undefined, role: 'label' | 'weight') => {
    if (name === undefined) return
    expectColumn(name, there, `the ${role}`)
    const other = asked[name]
    if (other && other.role !== role)
      throw new DataError(`column '${name}' is to be ${other.role} and the ${role}; expected one role`)
    asked[name] = { role }
  }
  set(options.label, 'label')
  set(options.weight, 'weight')
  for (const [name, { role }] of Object.entries(asked)) {
    expectColumn(name, there, `the role ${role}`)
    const { kind, type } = columns.find(column => column.name === name)!
    if (kind === 'nested' && role !== 'ignore')
      throw new DataError(`column '${name}' holds ${type}, expected one value a row for the role ${role}`)
    const second = Object.keys(asked).find(other => other !== name && asked[other]!.role === role)
    if ((role === 'label' || role === 'weight') && second !== undefined)
      throw new DataError(`columns '${name}' and '${second}' are both to be the ${role}, expected one`)
  }
  if (options.split.column !== undefined) expectColumn(options.split.column, there, 'the split')
  return asked
}

/** The label, of all rows: a class that only test rows have is still a class. */
async function labelOf(
  db: Database,
  table: RawTable,
  options: ResolvedPrepareOptions,
  also: ReadonlySet<string>,
): Promise<Learned<'label'>> {
  const name = options.label
  const { kind } = table.columns.find(column => column.name === name)!
  const groups = () => groupsOf(db, { name, where: 'true', classes: [] })
  const typed = typeOf(await observe(groups(), also, 0), kind)
  const where = { name, at: (row: number) => placeOf(table.files, row) }
  const type = 'type' in typed ? typed : ({ type: 'string' } as const)
  return learnLabel(groups(), also, type, where, options.classes)
}

/** Of one class alone nothing is learned. */
async function checkTrained({ db, label, options: { label: name }, asked, also, test }: Work): Promise<void> {
  const keys = new Set<string>()
  for await (const { value } of groupsOf(db, { name, where: `NOT (${test})`, classes: [] }))
    keys.add(keyOf(value, label.type, label.format)!)
  const weight = Object.keys(asked).find(column => asked[column]!.role === 'weight')
  if (weight !== undefined) await expectWeight(weight)
  if (keys.size < 2)
    throw new DataError(
      `the training rows have the label '${[...keys].join()}' alone, expected at least two classes; split otherwise (--split, --seed, --test-share)`,
    )

  async function expectWeight(column: string): Promise<void> {
    // What is no weight is refused with its row where it is written.
    for await (const { value } of groupsOf(db, { name: column, where: `NOT (${test})`, classes: [] }))
      if (isMissing(value, 'number', also) || numberOf(value) !== 0) return
    throw new DataError(
      `column '${column}' has the weight 0 in all training rows, of which none would count; expected one above it`,
    )
  }
}
