/** What is read of a file for a model's inputs: every column once, however many inputs name it. */
import type { Input, Inputs } from '../inputs.ts'
import { textLists } from '../inputs.ts'

/** One thing to read. */
export interface Reading {
  /** A list of ids, strings that become one, an id or a number a row. */
  kind: 'list' | 'text' | 'ids' | 'floats'
  /** The name it is kept under. */
  key: string
  /** Columns of the file; several only for strings that make one text. */
  columns: string[]
  /** Ids are below it: of several inputs that read a column, the smallest table counts. */
  limit: number
  /** Numbers are not below it: of several inputs that read a column, the greatest counts. */
  least?: number | undefined
  /** Of numbers, whether a null and NaN are read as NaN: where all inputs that read them take it. */
  missing?: boolean
  /** Which tokenizer makes ids of its strings; the only one, unless given. */
  tokenizer?: string | undefined
  /** The first input that reads it, for messages. */
  input: string
}

/** What is made of inputs for the loss alone: {@link ReadOptions}. */
export const TRAIN_ONLY = ['required', 'judged', 'optional', 'none'] as const
export type TrainOnly = (typeof TRAIN_ONLY)[number]

const NO_LIMIT = 2 ** 32

/**
 * The readings of `inputs`, in their order.
 * @param trainOnly whether inputs for the loss alone are read.
 * @param there columns of the file: what is optional is read where all of its columns are there.
 */
export function planOf(inputs: Inputs, trainOnly: TrainOnly, there: ReadonlySet<string>): Reading[] {
  const plan = new Map<string, Reading>()
  for (const [name, input] of Object.entries(inputs)) {
    const readings = readingsOf(input)
    if (input.trainOnly && trainOnly === 'none') continue
    const optional =
      input.trainOnly && (trainOnly === 'optional' || (trainOnly === 'judged' && input.lossOnly))
    if (optional && !readings.every(r => r.columns.every(c => there.has(c)))) continue
    for (const reading of readings) {
      const id = `${reading.kind === 'text' ? 'list' : reading.kind} ${reading.key}`
      const known = plan.get(id)
      if (known) {
        known.limit = Math.min(known.limit, reading.limit)
        if (reading.least !== undefined) known.least = Math.max(known.least ?? reading.least, reading.least)
        known.missing = (known.missing && reading.missing) ?? false
      } else plan.set(id, { ...reading, input: name })
    }
  }
  return [...plan.values()]
}

function readingsOf(input: Input): Omit<Reading, 'input'>[] {
  switch (input.kind) {
    case 'text':
      return textLists(input).map(({ key, columns }) => ({
        kind: columns[0]!.dtype === 'text' ? 'text' : 'list',
        key,
        columns: columns.map(({ name }) => name),
        ...(columns[0]!.dtype === 'text' ? { tokenizer: input.tokenizer } : {}),
        limit: Math.min(input.rows, columns[0]!.rows ?? NO_LIMIT),
      }))
    case 'ids':
      return Object.entries(input.columns).map(([key, limit]) => ({
        kind: 'ids',
        key,
        columns: [key],
        limit,
      }))
    case 'floats':
      return input.columns.map(key => ({
        kind: 'floats',
        key,
        columns: [key],
        limit: NO_LIMIT,
        least: input.least,
        missing: input.missing === 'nan',
      }))
    case 'classes':
      return [{ kind: 'ids', key: input.column, columns: [input.column], limit: input.classes }]
    case 'list':
      return input.columns.map(key => ({ kind: 'ids', key, columns: [key], limit: NO_LIMIT }))
    case 'masked':
      return []
  }
}
