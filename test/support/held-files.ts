// What meets a file that another worker holds, for the test of it: each operation in a worker or a page, with pauses under control.
import { writeFileAtomic } from '../../src/data/files.ts'
import { files } from '../../src/data/files-browser.ts'
import { writeFolder } from '../../src/train/checkpoint-folder.ts'

const HELD = 'held/folder/file'

/** Every operation that changes what is held, by name. */
const OPERATIONS: Record<string, () => Promise<unknown>> = {
  create: async () => (await files.create(HELD)).close(),
  'rename it': () => files.rename(HELD, 'held/other'),
  'rename onto it': () => files.rename('held/free', HELD),
  remove: () => files.remove(HELD),
  'remove its folder': () => files.remove('held'),
  place: () => files.place('held/fresh', 'held/folder', 'file'),
  withdraw: () => files.withdraw('held/folder', 'file'),
  settle: () => files.settle('held/folder', 'file'),
  writeFileAtomic: () => writeFileAtomic(HELD, file => file.write('new')),
  writeFolder: () => writeFolder('held/folder', [{ name: 'file', json: 1 }]),
}

export interface Attempted {
  error: string
  pauses: number[]
}

/** Makes what the operations need: `held/folder/file`, `held/free`, and a folder that is to be placed. */
export async function prepareHeld(): Promise<string[]> {
  await files.remove('held')
  for (const path of [HELD, 'held/free', 'held/fresh/file', 'held/folder.0123456789ab.tmp/file']) {
    await files.makeFolder(files.dirname(path))
    const file = await files.create(path)
    await file.write(path)
    await file.close()
  }
  return Object.keys(OPERATIONS)
}

/** Does an operation; `paused` is told of each pause, and ends it. */
export async function attempt(operation: string, paused: () => Promise<void>): Promise<Attempted> {
  const pauses: number[] = []
  const sleep = setTimeout
  Object.assign(globalThis, {
    setTimeout: (done: () => void, ms: number) => {
      pauses.push(ms)
      paused().then(done)
    },
  })
  const error = await OPERATIONS[operation]!().then(
    () => 'none',
    error => String(error),
  )
  Object.assign(globalThis, { setTimeout: sleep })
  return { error, pauses }
}

/** An attempt while a worker holds the file: in another worker or here. The holder stays, or is ended in the first pause. */
export async function meetHeld(meeting: {
  operation: string
  where: 'worker' | 'page'
  stays: boolean
}): Promise<Attempted> {
  await prepareHeld()
  const holder = new Worker('/held-worker.js', { type: 'module' })
  await new Promise(resolve => {
    holder.onmessage = resolve
    holder.postMessage('hold')
  })
  const paused = async () => {
    if (meeting.stays) return
    holder.terminate()
    await untilFree()
  }
  try {
    if (meeting.where === 'page') return await attempt(meeting.operation, paused)
    const worker = new Worker('/held-worker.js', { type: 'module' })
    return await new Promise<Attempted>(resolve => {
      worker.onmessage = async ({ data }) => {
        if (data !== 'paused') {
          worker.terminate()
          return resolve(data)
        }
        await paused()
        worker.postMessage('go on')
      }
      worker.postMessage({ operation: meeting.operation })
    })
  } finally {
    holder.terminate()
  }
}

/** What a page is told of a folder that a worker has taken, and whether it has the folder once that worker has ended, and again. */
export async function meetLock(): Promise<{ refused: string; taken: number }> {
  const take = () => files.lock('held').catch(String)
  const holder = new Worker('/held-worker.js', { type: 'module' })
  await new Promise(resolve => {
    holder.onmessage = resolve
    holder.postMessage('lock')
  })
  const refused = await take()
  holder.terminate()
  let taken = 0
  while (taken < 2) {
    const release = await take()
    if (typeof release === 'string') await new Promise(resolve => requestAnimationFrame(resolve))
    else {
      taken++
      await release()
    }
  }
  return { refused: typeof refused === 'string' ? refused : 'it was given', taken }
}

/** Ends once nobody holds the file, or it is gone; asked for without pauses of its own. */
async function untilFree(): Promise<void> {
  const root = await navigator.storage.getDirectory()
  const folder = await (await root.getDirectoryHandle('held')).getDirectoryHandle('folder')
  for (;;) {
    try {
      const stream = await (await folder.getFileHandle('file')).createWritable()
      return await stream.abort()
    } catch (error) {
      if ((error as DOMException).name !== 'NoModificationAllowedError') throw error
      await new Promise(resolve => requestAnimationFrame(resolve))
    }
  }
}
