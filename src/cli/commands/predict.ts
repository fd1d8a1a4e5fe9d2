import { closest } from '../../check.ts'
import type { ColumnKind, ColumnValues, ParquetFile } from '../../data/index.ts'
import { columnOf } from '../../data/parquet.ts'
import { DataError, UsageError } from '../../errors.ts'
import { columnsOf } from '../../inputs.ts'
import type { Metric } from '../../metrics/index.ts'
import type { Model } from '../../models/index.ts'
import type { Ranks } from '../../ranks/index.ts'
import { readVectors } from '../../serve/index.ts'
import { formatMetrics, type Scored } from '../../train/index.ts'
import { expectLogits } from '../../train/predict.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs, isStdout, makeFolderOf } from '../outputs.ts'
import { passedColumns } from '../pass-through.ts'
import { onRanks, talkOf } from '../ranked.ts'
import { openScored, type Rows } from '../raw.ts'
import { endingOf, writeRows } from '../rows-out.ts'
import { shown } from '../say.ts'
import { checkModel, type ScoreOptions, scoredByVectors, scoredRows, withModel } from '../score.ts'
import { formatTable } from '../table.ts'

export interface PredictCommandOptions extends ScoreOptions {
  data: string[]
  out: string
  json?: boolean
  vectors?: string
  columns: readonly string[]
}

/** What of the model's answers is written; other names are columns of the rows. */
const ANSWERS = ['probability', 'logits', 'features']

/** Predicts a file one row group at a time, and tells the metrics where the file has labels. */
export const run = (options: PredictCommandOptions): Promise<void> => onRanks(ranks => runOn(ranks, options))

async function runOn(ranks: Ranks, options: PredictCommandOptions): Promise<void> {
  const { data, out, json, vectors } = options
  const toStdout = await isStdout(out)
  if (toStdout && json) throw new UsageError(`--out ${out} is stdout, where --json goes; name a file`)
  const stream = talkOf(ranks, json || toStdout)
  if (options.architecture) await useArchitecture(options.architecture)
  const checked = await checkModel(options.model)
  const reads = [
    ...inputs('--data', data),
    ...inputs('--vectors', vectors),
    ...(await folderInputs('--model', options.model)),
  ]
  await checkOutputs({ reads, writes: [out] })
  endingOf(out)
  // All have looked before the first of them writes.
  await ranks.barrier()
  const kept = options.columns.filter(name => !ANSWERS.includes(name))
  const rows = await openScored(data, { model: options.model, kept, labels: 'optional', stream })
  try {
    const unknown = kept.find(name => !rows.file.columns.includes(rows.nameOf(name)))
    if (unknown !== undefined)
      throw new UsageError(unknownColumn(unknown, options.columns, rows.file.columns))
    if (ranks.rank === 0) await makeFolderOf(out)
    await predictRows(options, { rows, kept, checked, stream, ranks })
  } finally {
    await rows.close()
  }
}

/** A name that is neither an answer nor a column of the rows. */
function unknownColumn(name: string, asked: readonly string[], there: readonly string[]): string {
  const near = closest(name, [...ANSWERS, ...there])
  const hint = near === undefined ? '' : `; the nearest is '${near}'`
  return `--columns ${asked.join(',')}: '${name}' is unknown, expected features, probability, logits, or several with commas between, or columns of the file${hint}`
}

interface Ready {
  rows: Rows
  kept: readonly string[]
  checked: Model
  stream: NodeJS.WriteStream
  ranks: Ranks
}

async function predictRows(
  options: PredictCommandOptions,
  { rows, kept, checked, stream, ranks }: Ready,
): Promise<void> {
  const { out, json, batchSize, truncate, vectors } = options
  const { file } = rows
  const answers = options.columns.filter(name => ANSWERS.includes(name))
  const passed = answers.includes('features') ? passedColumns(file) : undefined
  for (const what of passed?.aside ?? [])
    stream.write(`note: left aside: ${what}
`)
  const output = new Output(rows, checked, {
    ...{ answers: answers.length ? answers : ['probability'], kept, passed: passed?.columns },
  })
  const logits = answers.includes('logits')
  if (logits) expectLogits('--columns logits', checked)
  if (logits && vectors !== undefined)
    throw new UsageError(
      '--columns logits and --vectors: expected one of them; logits are of texts that are read',
    )
  if (kept.length && vectors !== undefined)
    throw new UsageError(
      `--columns ${kept.join(',')} and --vectors: expected one of them; columns are handed on of rows that are read`,
    )
  if (passed && vectors !== undefined)
    throw new UsageError(
      '--columns features and --vectors: expected one of them; columns pass through where all of a file is read',
    )
  const asked = !logits ? 'scores' : answers.includes('probability') ? 'both' : 'logits'
  // With kept vectors there is little to share: rank 0 does it.
  if (vectors !== undefined && ranks.rank > 0) return
  const cached = vectors === undefined ? undefined : await readVectors(vectors)
  const extra = [...(passed?.columns.map(({ name }) => name) ?? []), ...kept.map(rows.nameOf)]
  await withModel(options, stream, model => {
    const given = { batchSize, truncate, trainOnly: 'optional', metric: output.metric } as const
    const scored = cached
      ? scoredByVectors(model, file, cached, given, stream)
      : scoredRows(model, file, { ...given, extra, output: asked, ranks }, stream)
    return ranks.rank === 0 ? output.write(out, scored) : spent(scored)
  })
  if (ranks.rank > 0) return
  const metrics = output.metric?.result()
  if (json) {
    process.stdout.write(`${JSON.stringify({ out, rows: file.rows, metrics: metrics ?? null })}\n`)
    return
  }
  if (metrics)
    stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
  stream.write(`\n${file.rows} rows in ${out}\n`)
}

/** Takes part in what another rank writes. */
async function spent(scored: AsyncIterable<Scored>): Promise<void> {
  for await (const _ of scored);
}

/** The rows of a file on their way to another. */
class Output {
  /** Where the file has all that the figures need. */
  readonly metric: Metric | undefined
  /** Columns of classes that the model learned from, as far as the file has them. */
  readonly #classes: string[]
  readonly #names: readonly (string | null)[]
  readonly #logits: boolean
  /** Columns of the file as they stand, in place of row numbers and classes. */
  readonly #passed: readonly { name: string; kind: ColumnKind }[] | undefined
  /** Columns that are handed on, their names in the file that is read, and what they hold. */
  readonly #kept: { name: string; from: string; kind: ColumnKind }[]

  constructor(
    { file, nameOf }: Rows,
    model: Model,
    {
      answers: columns,
      kept,
      passed,
    }: {
      answers: readonly string[]
      kept: readonly string[]
      passed: readonly { name: string; kind: ColumnKind }[] | undefined
    },
  ) {
    this.#passed = passed
    const wanted = Object.values(model.inputs).filter(({ trainOnly }) => trainOnly)
    const there = wanted.filter(input => columnsOf(input).every(name => file.columns.includes(name)))
    this.#classes = there.flatMap(input => (input.kind === 'classes' ? [input.column] : []))
    const scores = columns.includes('probability')
    this.metric = scores && there.length === wanted.length ? model.metrics({ rows: file.rows }) : undefined
    this.#names = scores ? model.scoreNames() : []
    this.#logits = columns.includes('logits')
    this.#kept = kept.map(name => ({ name, from: nameOf(name), kind: keptKind(file, nameOf(name)) }))
  }

  /** Writes the rows. How many logits there are is known with the first of them. */
  async write(out: string, scored: AsyncGenerator<Scored>): Promise<void> {
    try {
      const { value: first, done } = await scored.next()
      const C = first?.logits ? first.logits.length / first.rows.length : 0
      const columns: { name: string; kind: ColumnKind }[] = [
        ...(this.#passed ?? [{ name: 'row', kind: 'int64' as const }]),
        ...this.#kept.map(({ name, kind }) => ({ name, kind })),
        ...(this.#passed ? [] : this.#classes.map(name => ({ name, kind: 'int64' as const }))),
        ...this.#names.flatMap(name => (name === null ? [] : [{ name, kind: 'double' as const }])),
        ...Array.from({ length: C }, (_, c) => ({ name: `logit_${c}`, kind: 'float' as const })),
      ]
      const twice = columns.find(({ name }, i) => columns.findIndex(one => one.name === name) < i)
      if (twice)
        throw new DataError(
          `${out} would have two columns ${twice.name}: ${this.#kept.some(({ name }) => name === twice.name) ? 'leave it out of --columns' : `${this.#passed ? 'a column of the file' : 'the label'} has that name already`}`,
        )
      await writeRows(out, columns, this.#groups(done ? [] : [first], scored, C))
    } finally {
      await scored.return(undefined)
    }
  }

  /** Row groups of the output. */
  async *#groups(
    first: readonly Scored[],
    scored: AsyncIterable<Scored>,
    C: number,
  ): AsyncGenerator<Record<string, ColumnValues>> {
    for (const one of first) yield this.#group(one, C)
    for await (const one of scored) yield this.#group(one, C)
  }

  #group({ rows, scores, logits }: Scored, C: number): Record<string, ColumnValues> {
    const K = this.#names.length
    const { rowStart, length, ids, extra } = rows
    const group: Record<string, ColumnValues> = {}
    if (this.#passed) for (const { name } of this.#passed) group[name] = extra[name]!
    else {
      group.row = Float64Array.from({ length }, (_, i) => rowStart + i)
      for (const name of this.#classes) group[name] = ids[name]!
    }
    for (const { name, from, kind } of this.#kept) group[name] = keptValues(extra[from]!, kind)
    for (const [k, name] of this.#names.entries())
      if (name !== null) group[name] = Float64Array.from({ length }, (_, i) => scores[i * K + k]!)
    if (this.#logits)
      for (let c = 0; c < C; c++)
        group[`logit_${c}`] = Float32Array.from({ length }, (_, i) => logits![i * C + c]!)
    return group
  }
}

/** What a column that is handed on is written as. */
function keptKind(file: ParquetFile, name: string): ColumnKind {
  const { kind, list, description, element } = columnOf(file, name)
  if (list || kind === 'other')
    throw new DataError(
      `${file.name}: column ${name} is ${description}, which --columns cannot hand on; a number or text per row is expected`,
    )
  if (kind === 'text') return 'string'
  return element.type === 'FLOAT' || element.type === 'DOUBLE' ? 'double' : 'int64'
}

const keptValues = (values: readonly unknown[], kind: ColumnKind): unknown[] =>
  kind === 'int64' ? values.map(value => (typeof value === 'boolean' ? Number(value) : value)) : [...values]
