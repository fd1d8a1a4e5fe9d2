// Where a model is worse than elsewhere: its error of the rows, or lists, that have a value of a feature in common.
import type { Columns } from '../../data/index.ts'
import { listsOf } from '../../data/lists.ts'
import { pickRows } from '../../data/pick-rows.ts'
import type { ClassesInput, FloatsInput, Inputs, ListInput } from '../../inputs.ts'
import { lengthClass } from '../../metrics/list-curves.ts'
import { lossOf } from '../../metrics/loss.ts'
import { ndcg, rankLists } from '../../metrics/ranking-lists.ts'
import type { Model } from '../../models/index.ts'
import { predict } from '../predict.ts'
import type { Feature, RawColumns } from './features.ts'
import { drawRows, type ExplainOptions } from './importance.ts'

/** Rows, or lists, with a value in common. */
export interface Slice {
  value: string
  count: number
  /** Mean of the figure, and the 95% interval of that mean; null of a single one. */
  mean: number
  low: number | null
  high: number | null
  /** Share of clicks and mean predicted probability, of two classes. */
  clicks?: number
  predicted?: number
}

/** What a report says of a model's errors. */
export interface Slices {
  /** 'log_loss' a row, or 'ndcg@10' a list that has a positive. */
  figure: 'log_loss' | 'ndcg@10'
  /** Rows that were scored, and those they were drawn from. */
  rows: number
  of: number
  all: Slice
  /** The largest slices of each feature, and how many more there are. */
  features: { name: string; slices: Slice[]; more: number }[]
  /** Those that are worse than all together beyond the interval, the worst first. */
  worst: (Slice & { feature: string })[]
}

/** Slices that are shown of a feature, and of the worst ones; and how many rows or lists one must have to be among those. */
const [LARGEST, WORST, LEAST] = [20, 10, 30]

/** What is known of each row, or list, that counts. */
interface Judged {
  figure: Slices['figure']
  /** A row of each. */
  rows: Uint32Array
  /** The figure of each. */
  value: Float64Array
  /** The rows of each, where they are lists. */
  lists?: [rows: Uint32Array, starts: Uint32Array]
  clicked?: Float64Array
  predicted?: Float64Array
}

/**
 * Errors by slice: of each category, of texts by their length in tokens, and of rows that lack a number. Of models that order lists, features that are the
 * same in every whole list count.
 * @returns undefined for a model that has no classes or lists to be judged by
 */
export async function errorsBySlice(
  model: Model,
  data: Columns,
  options: ExplainOptions & { raw?: RawColumns | undefined },
): Promise<Slices | undefined> {
  const { features, batchSize, truncate, raw } = options
  const inputs = Object.values(model.inputs as Inputs)
  const list = inputs.find((one): one is ListInput & { trainOnly: true } => one.kind === 'list')
  const labels = inputs.find(
    (one): one is (ClassesInput | FloatsInput) & { trainOnly: true } =>
      one.trainOnly === true && !one.lossOnly && (one.kind === 'classes' || one.kind === 'floats'),
  )
  if (!labels || (labels.kind === 'floats' && !list)) return undefined
  const rows = drawRows(data, model.inputs, options)
  const drawn = pickRows(data, rows)
  const scores = await predict(model, drawn, { batchSize, truncate })
  const judged = list
    ? judgedLists(drawn, list, labels, scores)
    : judgedRows(drawn, labels as ClassesInput, scores)
  if (!judged?.value.length) return undefined
  const all = sliceOf(
    'all',
    judged,
    Uint32Array.from(judged.value, (_, i) => i),
  )
  const found = features.flatMap(feature => {
    const keys = keysOf(drawn, feature, judged, raw)
    return keys ? [{ name: feature.name, ...slicesOf(judged, keys) }] : []
  })
  const isWorse = ({ low, high }: Slice) =>
    judged.figure === 'log_loss' ? low !== null && low > all.mean : high !== null && high < all.mean
  const sign = judged.figure === 'log_loss' ? -1 : 1
  const bound = ({ low, high }: Slice) => (sign < 0 ? -low! : high!)
  const worst = found
    .flatMap(({ name, every }) => every.map(slice => ({ feature: name, ...slice })))
    .filter(slice => slice.count >= LEAST && isWorse(slice))
    .sort((a, b) => bound(a) - bound(b))
    .slice(0, WORST)
  return {
    figure: judged.figure,
    rows: rows.length,
    of: data.length,
    all,
    features: found.map(({ name, every }) => ({
      name,
      slices: every.slice(0, LARGEST),
      more: Math.max(0, every.length - LARGEST),
    })),
    worst,
  }
}

function judgedRows(
  data: Columns,
  { column, classes }: ClassesInput,
  scores: Float32Array,
): Judged | undefined {
  const labels = data.ids[column]
  if (!labels || scores.length !== data.length * classes) return undefined
  const value = Float64Array.from(labels, (label, row) => lossOf(scores, row, label, classes))
  const judged: Judged = { figure: 'log_loss', rows: Uint32Array.from(labels, (_, row) => row), value }
  if (classes > 2) return judged
  return {
    ...judged,
    clicked: Float64Array.from(labels),
    predicted: Float64Array.from(labels, (_, row) => scores[2 * row + 1]!),
  }
}

/** Lists without a positive have no nDCG, and are left out. */
function judgedLists(
  data: Columns,
  { columns }: ListInput,
  labels: ClassesInput | FloatsInput,
  scores: Float32Array,
): Judged | undefined {
  const values = labels.kind === 'classes' ? data.ids[labels.column] : data.floats[labels.columns[0]!]
  if (!values || (labels.kind === 'floats' && labels.columns.length !== 1)) return undefined
  const [rows, starts] = listsOf(
    columns.map(name => data.ids[name]!),
    data.length,
  )
  const K = scores.length / data.length
  const of = <T>(to: (row: number) => T) => Array.from(rows, to)
  const ranked = rankLists(
    of(row => values[row]!),
    of(row => scores[row * K]!),
    starts,
  )
  const at10 = ndcg(ranked, { k: 10 })
  const kept = [...at10.keys()].filter(i => !Number.isNaN(at10[i]!))
  const begin = Uint32Array.from(kept, i => starts[i]!)
  return {
    figure: 'ndcg@10',
    rows: Uint32Array.from(begin, at => rows[at]!),
    value: Float64Array.from(kept, i => at10[i]!),
    lists: [rows, starts],
  }
}

/** A name for each thing that is judged; undefined where the feature makes no slices. */
function keysOf(
  data: Columns,
  feature: Feature,
  judged: Judged,
  raw: RawColumns | undefined,
): string[] | undefined {
  const nameOf = namesOf(data, feature, raw)
  if (!nameOf) return undefined
  if (judged.lists) {
    const [rows, starts] = judged.lists
    for (let list = 0; list + 1 < starts.length; list++)
      for (let i = starts[list]! + 1; i < starts[list + 1]!; i++)
        if (nameOf(rows[i]!) !== nameOf(rows[starts[list]!]!)) return undefined
  }
  return Array.from(judged.rows, nameOf)
}

function namesOf(
  data: Columns,
  { name, ids, floats, lists }: Feature,
  raw: RawColumns | undefined,
): ((row: number) => string) | undefined {
  if (lists.length) {
    const tokens = lists.map(key => data.lists[key]!.offsets)
    const count = (row: number) => tokens.reduce((sum, offsets) => sum + offsets[row + 1]! - offsets[row]!, 0)
    return row => (count(row) === 1 ? '1 token' : `${lengthClass(count(row))} tokens`)
  }
  // A date has parts, whose codes are no slices of its own.
  if (ids.length === 1 && !floats.length) {
    const [key] = ids as [string]
    return row => raw?.valueOf(key, data.ids[key]![row]!) ?? String(data.ids[key]![row])
  }
  const indicator = raw?.indicators[name]
  const misses = (row: number) =>
    indicator === undefined
      ? floats.some(key => Number.isNaN(data.floats[key]![row]))
      : data.floats[indicator]?.[row] === 1
  const rows = Array.from({ length: data.length }, (_, row) => row)
  return rows.some(misses) ? row => (misses(row) ? 'missing' : 'there') : undefined
}

/** All slices of a feature, the largest first. */
function slicesOf(judged: Judged, keys: readonly string[]): { every: Slice[] } {
  const members = new Map<string, number[]>()
  for (const [i, key] of keys.entries()) {
    const own = members.get(key)
    if (own) own.push(i)
    else members.set(key, [i])
  }
  const every = [...members].map(([value, own]) => sliceOf(value, judged, own))
  const collate = new Intl.Collator('en', { numeric: true })
  return { every: every.sort((a, b) => b.count - a.count || collate.compare(a.value, b.value)) }
}

function sliceOf(name: string, { value, clicked, predicted }: Judged, members: ArrayLike<number>): Slice {
  const count = members.length
  const mean = (of: Float64Array) => Array.from(members, i => of[i]!).reduce((a, b) => a + b, 0) / count
  const middle = mean(value)
  const squares = Array.from(members, i => (value[i]! - middle) ** 2).reduce((a, b) => a + b, 0)
  const half = count > 1 ? 1.96 * Math.sqrt(squares / (count - 1) / count) : null
  return {
    value: name,
    count,
    mean: middle,
    low: half === null ? null : middle - half,
    high: half === null ? null : middle + half,
    ...(clicked ? { clicks: mean(clicked) } : {}),
    ...(predicted ? { predicted: mean(predicted) } : {}),
  }
}
