// What a reload of the page finds again, in the origin's private file system: the run's description, a copy of a file that was
// dropped, and the trainer's checkpoints.
import type { Choices } from './protocol.ts'

const FOLDER = 'kernelgrad-demo'
/** The trainer's output folder, from the file system's root. */
export const RUN_FOLDER = `${FOLDER}/run`

/** A run, as far as its checkpoints do not say it. */
export interface RunDescription {
  /** The file's name, or 'sample'. */
  name: string
  sample: boolean
  choices: Choices
  steps: number
}

const ROOT = () => navigator.storage.getDirectory()
const folder = async () => (await ROOT()).getDirectoryHandle(FOLDER, { create: true })

/** A worker that a reload ended may hold its files a little longer: tried again, after pauses that grow, for some seconds. */
async function onceFree<T>(work: () => Promise<T>): Promise<T> {
  for (let pause = 10; ; pause *= 2) {
    try {
      return await work()
    } catch (error) {
      const held = error instanceof DOMException && error.name === 'NoModificationAllowedError'
      if (!held || pause > 4000) throw error
    }
    await new Promise(resolve => setTimeout(resolve, pause))
  }
}

async function write(name: string, content: Blob | string): Promise<void> {
  const file = await (await folder()).getFileHandle(name, { create: true })
  // What is written appears when the stream is closed, whole.
  const stream = await onceFree(() => file.createWritable())
  await stream.write(content)
  await stream.close()
}

/** Undefined where there is no such file. */
async function read(name: string): Promise<File | undefined> {
  const file = await absent((await folder()).getFileHandle(name))
  return file?.getFile()
}

const absent = <T>(promise: Promise<T>): Promise<T | undefined> =>
  promise.catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'NotFoundError') return undefined
    throw error
  })

/** Forgets the run before, and notes the new one. */
export async function storeRun(run: RunDescription, data: Blob | undefined): Promise<void> {
  await forgetRun()
  if (data) await write('data', data)
  await write('run.json', JSON.stringify(run))
}

/** The run that a reload may go on with: one that has been described and has a checkpoint. */
export async function storedRun(): Promise<{ run: RunDescription; step: number } | undefined> {
  const described = await read('run.json')
  const step = await lastCheckpoint()
  return described && step !== undefined ? { run: JSON.parse(await described.text()), step } : undefined
}

/** The copy of the file, under the name that it had; an older version of the page stored it as Parquet. */
export async function storedData(name: string): Promise<File | undefined> {
  const file = (await read('data')) ?? (await read('data.parquet'))
  return file && new File([file], name)
}

export async function forgetRun(): Promise<void> {
  const root = await ROOT()
  await absent(onceFree(() => root.removeEntry(FOLDER, { recursive: true })))
}

/** The step of the newest checkpoint that is whole: its checksums come last. */
export async function lastCheckpoint(): Promise<number | undefined> {
  const run = await absent((await folder()).getDirectoryHandle('run'))
  if (!run) return undefined
  const steps: number[] = []
  for await (const [name, checkpoint] of run.entries()) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1]
    if (!step || !(checkpoint instanceof FileSystemDirectoryHandle)) continue
    if (await absent(checkpoint.getFileHandle('checksums.json'))) steps.push(Number(step))
  }
  return steps.length ? Math.max(...steps) : undefined
}
