// Everything that takes time: reading files, training, scoring. The page only shows.

import type { Model } from 'kernelgrad'
import { DeviceError, KernelgradError } from 'kernelgrad'
import type { ParquetFile } from 'kernelgrad/data'
import { makeModel } from './architecture.ts'
import { propose } from './columns.ts'
import { BATCH, modelFiles, scoreRow } from './model.ts'
import { forgetRun, type RunDescription, storedData, storedRun, storeRun } from './opfs.ts'
import type { StoredRun, ToPage, ToWorker } from './protocol.ts'
import { examplesOf, fieldsOf, openFile, readRows, sampleFile } from './rows.ts'
import { Run } from './run.ts'

/** Why what was asked for is not done, in words for the reader. */
class Refusal extends Error {}

const LOCK = 'kernelgrad-demo'
const LOCKED_MS = 10_000

/** The file that is open: the next run's. */
let opened: { file: ParquetFile; data: File | undefined } | undefined
let run: Run | undefined
let training = false

const post = (message: ToPage, transfer: Transferable[] = []) => self.postMessage(message, { transfer })

async function open(source: File | 'sample'): Promise<void> {
  const sample = source === 'sample'
  const file = sample ? await openFile(await sampleFile(), 'sample') : await openFile(source, source.name)
  const proposal = await propose(file)
  opened = { file, data: sample ? undefined : source }
  post({ type: 'opened', proposal })
}

async function start(choices: RunDescription['choices'], steps: number): Promise<void> {
  const { file, data } = opened!
  const description = { name: file.name, sample: !data, choices, steps }
  // Read, and a model made, once before anything that was stored is given up.
  const rows = await readRows(file, choices)
  makeModel(rows, choices.padTokenId)
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
    const data = sample ? await sampleFile() : await storedData()
    if (!data) throw new Refusal(`the copy of ${name} is gone; start a new run`)
    await train(stored.run, await readRows(await openFile(data, name), choices), true)
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

async function train(
  { name, choices, steps }: RunDescription,
  rows: Awaited<ReturnType<typeof readRows>>,
  resumes: boolean,
): Promise<void> {
  run?.close()
  const perEpoch = Math.ceil(rows.train.length / BATCH)
  // The last batch of an epoch has what is left.
  const rowsAfter = (step: number) =>
    Math.floor(step / perEpoch) * rows.train.length + (step % perEpoch) * BATCH
  let step = 0
  run = new Run(rows, () => makeModel(rows, choices.padTokenId), steps, {
    onReady: (gpu, model) =>
      post({
        type: 'ready',
        name,
        adapter: gpu.adapter.line.replace(/^adapter: /, ''),
        parameters: model.numParameters(),
        fields: fieldsOf(rows),
        examples: examplesOf(rows),
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
    case 'score':
      return post({ type: 'scored', scores: await withModel(model => scoreRow(model, message.row)) })
    case 'files': {
      const files = await withModel(modelFiles)
      return post({ type: 'files', ...files }, [files.weights])
    }
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof DOMException && error.name === 'SecurityError')
    return 'This window keeps no files for pages, and the run is to be saved: is it a private one? Open the page in a normal window.'
  if (error instanceof DOMException && error.name === 'QuotaExceededError')
    return 'The browser has no room left to save the run: free some, or take a smaller file.'
  return error instanceof Error ? error.message : String(error)
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  answer(data).catch((error: unknown) => {
    const message = wordsOf(error)
    const noDevice = error instanceof DeviceError && message.startsWith('no WebGPU adapter')
    post({ type: 'error', during: data.type, message, noDevice })
    // What nobody expected, for whoever opens the console.
    if (!(error instanceof KernelgradError || error instanceof Refusal)) console.error(error)
  })
}
