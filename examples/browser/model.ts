// How a model is trained here, rows scored by it, and its files.

import {
  collate,
  columnsOf,
  type Dataset,
  type Model,
  noGrad,
  parseTrainerConfig,
  predict,
  type ResolvedTrainerConfig,
  scope,
} from 'kernelgrad'
import { type Columns, serializeSafetensors } from 'kernelgrad/data'
import type { Rows } from './rows.ts'
import { tarOf } from './tar.ts'

export const BATCH = 128
const EVALUATIONS = 12
/** An evaluation costs as much as a few steps. */
const LEAST_STEPS_BETWEEN = 5

export function trainerConfig(steps: number): ResolvedTrainerConfig {
  const every = Math.max(LEAST_STEPS_BETWEEN, Math.round(steps / EVALUATIONS))
  const config = {
    max_steps: steps,
    per_device_train_batch_size: BATCH,
    gradient_accumulation_steps: 1,
    encoder_learning_rate: 5e-4,
    eval_steps: every,
    save_steps: every,
    load_best_model_at_end: false,
    logging_steps: Math.max(1, Math.round(steps / 100)),
    truncate: true,
    seed: 42,
  }
  return parseTrainerConfig(config, 'this page')
}

/** A row's scores by the names that the model gives them. In evaluation mode; every id is checked. */
export async function scoreRow(model: Model, row: Record<string, number[]>): Promise<Record<string, number>> {
  const batch = collate(oneRow(model, row), [0], model.inputs, { truncate: true })
  const wasTraining = model.training
  model.eval()
  const reading = scope(() => noGrad(() => model.scores(batch)).read())
  model.train(wasTraining)
  const scores = await reading
  return Object.fromEntries(
    model.scoreNames().flatMap((name, k) => (name === null ? [] : [[name, scores[k]!] as const])),
  )
}

function oneRow({ inputs }: Model, row: Record<string, number[]>): Dataset {
  const lists: Dataset['lists'] = {}
  const ids: Dataset['ids'] = {}
  const floats: Dataset['floats'] = {}
  for (const input of Object.values(inputs)) {
    if (input.trainOnly) continue
    for (const name of columnsOf(input)) {
      const values = row[name]!
      if (input.kind === 'floats') floats[name] = Float32Array.from(values)
      else if (input.kind !== 'text') ids[name] = Uint32Array.from(values)
      else lists[name] = { values: Uint32Array.from(values), offsets: Uint32Array.of(0, values.length) }
    }
  }
  return { length: 1, rowStart: 0, lists, ids, floats, files: [] }
}

/** A row of a table as it was typed: its scores, and which of its values the model has never seen. */
export async function scoreTyped(
  model: Model,
  { preparation }: NonNullable<Rows['table']>,
  typed: Record<string, string>,
): Promise<{ scores: Record<string, number>; notes: string[] }> {
  const row = Object.fromEntries(
    Object.entries(typed).map(([name, text]) => [name, text === '' ? null : text]),
  )
  const columns = preparation.apply([row])
  const notes = preparation.fields.flatMap(name => {
    const column = preparation.document.columns[name]!
    if (column.role !== 'category' || !column.codes || row[name] === null) return []
    return columns.ids[column.out]![0] === 0
      ? [`'${row[name]}' is no ${name} that was trained on: it counts as unknown.`]
      : []
  })
  const values = await predict(model, columns, { truncate: true })
  const names = model.scoreNames()
  const scores = names.flatMap((name, k) => (name === null ? [] : [[name, values[k]!] as const]))
  return { scores: Object.fromEntries(scores), notes }
}

/** Rows with their scores as CSV, as the command line writes them; `labels` are their classes where they are known. */
export async function predictionsOf(
  model: Model,
  columns: Columns,
  { rows, labels, label }: { rows: ArrayLike<number>; labels: readonly string[] | undefined; label: string },
): Promise<Blob> {
  const values = await predict(model, columns, { truncate: true })
  const names = model.scoreNames()
  const kept = names.flatMap((name, k) => (name === null ? [] : [k]))
  const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  const lines = [['row', ...(labels ? [field(label)] : []), ...kept.map(k => names[k]!)]]
  for (let i = 0; i < columns.length; i++)
    lines.push([
      String(rows[i]),
      ...(labels ? [field(labels[i]!)] : []),
      ...kept.map(k => String(values[i * names.length + k])),
    ])
  return new Blob([lines.map(line => `${line.join(',')}\n`).join('')], { type: 'text/csv' })
}

/** What loadModel reads in Node: two files, or of a table's model one archive of the whole folder. */
export async function modelFiles(
  model: Model,
  table: Rows['table'],
): Promise<{ name: string; content: Blob }[]> {
  const tensors = [...(await model.stateDict())].map(([name, { shape, data }]) => ({ name, shape, data }))
  const json = (value: unknown) => new Blob([`${JSON.stringify(value, null, 2)}\n`])
  const files = [
    { name: 'model.safetensors', content: new Blob([serializeSafetensors(tensors, { format: 'pt' })]) },
    { name: 'config.json', content: json(model.config) },
  ]
  if (!table) return files
  files.push({ name: 'preparation.json', content: json(table.preparation.document) })
  for (const [name, of] of Object.entries(table.tokenizer ?? {}))
    files.push({ name: `tokenizer/${name}`, content: json(of) })
  return [{ name: 'model.tar', content: await tarOf('model', files) }]
}
