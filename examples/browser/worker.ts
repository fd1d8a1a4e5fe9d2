// Everything that takes time: reading files, training, scoring. The page only shows.

import type { Model } from 'kernelgrad'
import { DeviceError, KernelgradError } from 'kernelgrad'
import type { ParquetFile } from 'kernelgrad/data'
import { type OpenedTable, openTable, rawRows } from 'kernelgrad/prepare'
import { makeModel } from './architecture.ts'
import { propose } from './columns.ts'
import { BATCH, modelFiles, predictionsOf, scoreRow, scoreTyped } from './model.ts'
import { forgetRun, type RunDescription, storedData, storedRun, storeRun } from './opfs.ts'
import type { Choices, Proposal, StoredRun, ToPage, ToWorker, TypedRow } from './protocol.ts'
import { examplesOf, fieldsOf, openFile, type Rows, readRows, sampleFile } from './rows.ts'
import { Run } from './run.ts'
import { columnIn, findRoles, inPageWords, openOwnTable, readTableRows } from './table.ts'

/** Why what was asked for is not done, in words for the reader. */
class Refusal extends Error {}

const LOCK = 'kernelgrad-demo'
const LOCKED_MS = 10_000

/** A file that is open: one of token ids, or a table. */
type Opened = { name: string; data: File | undefined } & ({ file: ParquetFile } | { table: OpenedTable })

/** The next run's file. */
let opened: Opened | undefined
let run: Run | undefined
/** The rows of the run that there is, and how they were read. */
let current: { rows: Rows; choices: Choices; name: string } | undefined
let training = false

const post = (message: ToPage) => self.postMessage(message)

async function open(source: File | 'sample'): Promise<void> {
  const next = source === 'sample' ? await openSample() : await openOwn(source)
  opened = next.opened
  post({ type: 'opened', proposal: next.proposal })
}

interface Open {
  opened: Opened
  proposal: Proposal
}

async function openSample(): Promise<Open> {
  const file = await openFile(await sampleFile(), 'sample')
  return { opened: { name: 'sample', data: undefined, file }, proposal: (await propose(file))! }
}

/** Lists of token ids are read as such, everything else as a table. */
async function openOwn(data: File): Promise<Open> {
  const { name } = data
  if (/\.(?:parquet|pq)$/i.test(name)) {
    const file = await openFile(data, name)
    const proposal = await propose(file)
    if (proposal) return { opened: { name, data, file }, proposal }
  }
  const { table, proposal } = await openOwnTable(data)
  return { opened: { name, data, table }, proposal }
}

function rowsOf(from: Opened, choices: Choices): Promise<Rows> {
  if (choices.kind === 'table' && 'table' in from) return readTableRows(from.table, choices)
  if (choices.kind !== 'table' && 'file' in from) return readRows(from.file, choices)
  throw new Refusal(`${from.name} is another kind of file than it was`)
}

async function start(choices: RunDescription['choices'], steps: number): Promise<void> {
  const { name, data } = opened!
  const description = { name, sample: !data, choices, steps }
  // Read, and a model made, once before anything that was stored is given up.
  const rows = await rowsOf(opened!, choices)
  makeModel(rows, rows.padTokenId)
  await alone(async () => {
    await storeRun(description, data)
    await train(description, rows, false)
  })
}

async function resume(): Promise<void> {
  await alone(async () => {
    const stored = await storedRun()
    if (!stored) throw new Refusal('there is no run to go on with any more')
    const { name, sample, choices } = stored.run
    const data = sample ? undefined : await storedData(name)
    if (!sample && !data) throw new Refusal(`the copy of ${name} is gone; start a new run`)
    const again = data ? await openOwn(data) : await openSample()
    await train(stored.run, await rowsOf(again.opened, choices), true)
  })
}

/** Two tabs must not write one run. A worker that a reload ended may hold the lock a little longer. */
async function alone(work: () => Promise<void>): Promise<void> {
  const patience = AbortSignal.timeout(LOCKED_MS)
  let ours = false
  const locked = navigator.locks.request(LOCK, { signal: patience }, async () => {
    ours = true
    await work()
  })
  await locked.catch(error => {
    throw ours || !patience.aborted
      ? error
      : new Refusal('another tab of this page is training; close it first')
  })
}

async function train({ name, choices, steps }: RunDescription, rows: Rows, resumes: boolean): Promise<void> {
  run?.close()
  current = { rows, choices, name }
  const perEpoch = Math.ceil(rows.train.length / BATCH)
  // The last batch of an epoch has what is left.
  const rowsAfter = (step: number) =>
    Math.floor(step / perEpoch) * rows.train.length + (step % perEpoch) * BATCH
  let step = 0
  run = new Run(rows, () => makeModel(rows, rows.padTokenId), steps, {
    onReady: (gpu, model) =>
      post({
        type: 'ready',
        name,
        adapter: gpu.adapter.line.replace(/^adapter: /, ''),
        parameters: model.numParameters(),
        fields: fieldsOf(rows),
        examples: examplesOf(rows),
        label: choices.kind === 'table' ? choices.label : undefined,
        classes: rows.classes,
        rows: {
          train: rows.train.length,
          heldOut: rows.heldOut.length,
          evaluated: rows.evaluation.length,
        },
      }),
    onState: (state, at) => {
      step = at
      post({ type: 'state', state, step, steps })
    },
    onHistory: entries => post({ type: 'history', entries, steps }),
    onLog: entry => post({ type: 'log', entry }),
    onProgress: at => {
      step = at
      post({ type: 'progress', step, steps, rows: rowsAfter(step), totalRows: rowsAfter(steps) })
    },
    onLost: (message, from) => post({ type: 'lost', message, step: from }),
  })
  training = true
  try {
    await run.train({ resume: resumes })
  } catch (error) {
    post({ type: 'state', state: 'failed', step, steps })
    await look()
    throw error
  } finally {
    training = false
  }
}

/** Does something with the model; where its device was lost after the training, with the saved one on a new device. */
async function withModel<T>(work: (model: Model) => Promise<T>): Promise<T> {
  try {
    return await run!.withModel(work)
  } catch (error) {
    if (training || (await run!.lossOfDevice(error)) === undefined) throw error
    await resume()
    return run!.withModel(work)
  }
}

async function score(typed: TypedRow): Promise<void> {
  const table = current?.rows.table
  if (table) {
    const row = typed as Record<string, string>
    const { scores, notes } = await withModel(model => scoreTyped(model, table, row))
    return post({ type: 'scored', scores, notes })
  }
  const scores = await withModel(model => scoreRow(model, typed as Record<string, number[]>))
  post({ type: 'scored', scores, notes: [] })
}

/** Scores the rows that were held out, or those of another file. */
async function predictRows(source: File | 'held out'): Promise<void> {
  const { rows, choices, name } = current!
  const label = choices.kind === 'table' ? choices.label : 'label'
  const named = (of: string) =>
    `${of.replace(/\.(?:gz|[a-z]+)$/i, '').replace(/\.[a-z]+$/i, '')}-predictions.csv`
  if (source === 'held out') {
    const { heldOut, heldOutRows } = rows
    const labels = Array.from(heldOut.ids.label!, code => rows.classes[code]!)
    const csv = await withModel(model => predictionsOf(model, heldOut, { rows: heldOutRows, labels, label }))
    return post({ type: 'predicted', name: named(name), rows: heldOut.length, csv })
  }
  if (!rows.table)
    throw new Refusal(`${source.name}: a model of token ids predicts on the command line, with its files`)
  const { preparation } = rows.table
  const table = await openTable(source)
  const there = table.columns.map(column => column.name)
  const absent = preparation.fields.find(field => !there.includes(field))
  if (absent !== undefined)
    throw new Refusal(
      `${source.name} has no column '${absent}', which the model reads; it has ${there.join(', ')}`,
    )
  const every = Array.from({ length: table.rows }, (_, i) => i)
  const columns = preparation.apply(rawRows(table, every), { source: source.name })
  const csv = await withModel(model =>
    predictionsOf(model, columns, { rows: every, labels: undefined, label }),
  )
  post({ type: 'predicted', name: named(source.name), rows: table.rows, csv })
}

async function look(): Promise<void> {
  const stored = await storedRun()
  const found: StoredRun | undefined = stored && {
    name: stored.run.name,
    step: stored.step,
    steps: stored.run.steps,
  }
  post({ type: 'stored', run: found })
}

async function answer(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'look':
      return look()
    case 'open':
      return open(message.source)
    case 'start':
      return start(message.choices, message.steps)
    case 'resume':
      return resume()
    case 'forget':
      await alone(forgetRun)
      return post({ type: 'forgotten' })
    case 'pause':
      return run?.pause()
    case 'continue':
      return run?.continue()
    case 'stop':
      return run?.stop()
    case 'lose':
      return run?.loseDevice()
    case 'roles': {
      const { choices } = message
      if (!(opened && 'table' in opened))
        throw new Refusal('no table is open any more; choose the file again')
      return post({ type: 'roles', label: choices.label, ...(await findRoles(opened.table, choices)) })
    }
    case 'score':
      return score(message.row)
    case 'predict':
      return predictRows(message.source)
    case 'files': {
      const table = current?.rows.table
      return post({ type: 'files', files: await withModel(model => modelFiles(model, table)) })
    }
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof DOMException && error.name === 'SecurityError')
    return 'This window keeps no files for pages, and the run is to be saved: is it a private one? Open the page in a normal window.'
  if (error instanceof DOMException && error.name === 'QuotaExceededError')
    return 'The browser has no room left to save the run: free some, or take a smaller file.'
  return error instanceof Error ? inPageWords(error.message) : String(error)
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  answer(data).catch((error: unknown) => {
    const message = wordsOf(error)
    const noDevice = error instanceof DeviceError && message.startsWith('no WebGPU adapter')
    post({ type: 'error', during: data.type, message, noDevice, column: columnIn(message) })
    // What nobody expected, for whoever opens the console.
    if (!(error instanceof KernelgradError || error instanceof Refusal)) console.error(error)
  })
}
