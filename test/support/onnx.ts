// Models and rows for ONNX files, and what onnxruntime makes of them.
import * as ort from 'onnxruntime-web'
import { loadDataset, openParquet, parquetBytes } from '../../src/data/index.ts'
import type { TextInput } from '../../src/inputs.ts'
import { type Model, readOptions } from '../../src/models/index.ts'
import type { OnnxExport } from '../../src/onnx/index.ts'
import { generator } from './gpu.ts'

ort.env.wasm.numThreads = 1

/** Weights far from their starting values, statistics too. */
export async function scramble<M extends Model>(model: M, seed: number): Promise<M> {
  const next = generator(seed)
  const state = await model.stateDict()
  for (const [name, { data }] of state) {
    if (data instanceof BigInt64Array) continue
    const positive = name.endsWith('running_var')
    for (let i = 0; i < data.length; i++) data[i] = positive ? 0.2 + next() : next() * 0.8 - 0.4
  }
  model.loadStateDict(state)
  return model.eval()
}

/** A row by column: tokens, an id or a number. */
export type Row = Record<string, number | number[]>

/** Rows of what a model reads beside labels: a third of the texts empty, some with padding in their middle. */
export function rowsOf(model: Model, n: number, seed: number): Row[] {
  const next = generator(seed)
  const below = (most: number) => Math.floor(next() * most)
  const text =
    ({ rows, maxPositions, columns }: TextInput) =>
    () =>
      next() < 0.33
        ? []
        : Array.from({ length: 1 + below((maxPositions - 4) / columns.length) }, () => below(rows))
  const columns: [string, () => number | number[]][] = []
  for (const input of Object.values(model.inputs)) {
    if (input.trainOnly) continue
    if (input.kind === 'text') for (const { name } of input.columns) columns.push([name, text(input)])
    if (input.kind === 'ids')
      for (const [name, rows] of Object.entries(input.columns)) columns.push([name, () => below(rows)])
    if (input.kind === 'floats') for (const name of input.columns) columns.push([name, () => next() * 4 - 2])
    if (input.kind === 'list') for (const name of input.columns) columns.push([name, () => 1])
  }
  return Array.from({ length: n }, () => Object.fromEntries(columns.map(([name, make]) => [name, make()])))
}

/** The rows as `predict` takes them. */
export async function datasetOf(model: Model, rows: readonly Row[]) {
  const columns = Object.keys(rows[0]!).map(name => {
    const data = rows.map(row => row[name]!)
    if (Array.isArray(data[0])) return { name, kind: 'list<int64>' as const, data: data as number[][] }
    const kind = data.every(Number.isInteger) ? ('int64' as const) : ('double' as const)
    return { name, kind, data: data as number[] }
  })
  const file = await openParquet(await parquetBytes(columns), { name: 'rows.parquet' })
  return loadDataset(file, readOptions(model, 'optional'))
}

/** Token ids of a text and their types, as its columns are put together. */
function tokensOf({ columns, joined }: TextInput, row: Row): { id: number; type: number }[] {
  const plain = columns.map(({ name, segment: type = 0 }) => ({
    type,
    tokens: (row[name] as number[]).map(id => ({ id, type })),
  }))
  if (!joined) return plain.flatMap(({ tokens }) => tokens)
  return [
    { id: joined.first, type: plain[0]!.type },
    ...plain.flatMap(({ type, tokens }) => [...tokens, { id: joined.separator, type }]),
  ]
}

const ints = (values: number[], dims: number[]) =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims)

/** The rows as the graph takes them, texts padded to the longest one and `extra` columns more. */
export function feedsOf(model: Model, rows: readonly Row[], extra = 0): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {}
  const B = rows.length
  for (const [key, input] of Object.entries(model.inputs)) {
    if (input.trainOnly) continue
    if (input.kind === 'ids')
      for (const name of Object.keys(input.columns))
        feeds[name] = ints(
          rows.map(row => row[name] as number),
          [B],
        )
    if (input.kind === 'floats')
      for (const name of input.columns)
        feeds[name] = new ort.Tensor(
          'float32',
          Float32Array.from(rows, row => row[name] as number),
          [B],
        )
    if (input.kind !== 'text') continue
    const texts = rows.map(row => tokensOf(input, row))
    const S = Math.max(...texts.map(({ length }) => length)) + extra
    const prefix = key === 'text' ? '' : `${key}_`
    const padded = (of: (token: { id: number; type: number }) => number, padding: number) =>
      ints(
        texts.flatMap(text => Array.from({ length: S }, (_, s) => (text[s] ? of(text[s]) : padding))),
        [B, S],
      )
    feeds[`${prefix}input_ids`] = padded(({ id }) => id, input.padTokenId)
    feeds[`${prefix}attention_mask`] = padded(() => 1, 0)
    if (input.joined) feeds[`${prefix}token_type_ids`] = padded(({ type }) => type, 0)
  }
  return feeds
}

/** What the file gives for the rows, by output: row-major. */
export async function runOnnx(
  file: OnnxExport | string,
  feeds: Record<string, ort.Tensor>,
  external?: { path: string; data: Uint8Array },
): Promise<Record<string, number[]>> {
  const path = typeof file === 'string' ? file : file.path
  const session = await ort.InferenceSession.create(path, {
    logSeverityLevel: 4,
    ...(external ? { externalData: [external] } : {}),
  })
  try {
    const out = await session.run(feeds)
    return Object.fromEntries(
      Object.entries(out).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
    )
  } finally {
    await session.release()
  }
}
