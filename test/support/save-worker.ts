// A browser's worker that saves, and stands still at a chosen one of its file operations until it is terminated.
import { saveForever } from './save-forever.ts'

interface Orders {
  output: string
  kept: number
  /** At which operation to stop, from 1; before it is done, or after. */
  stopAt: number
  after: boolean
}

addEventListener('message', async ({ data }: MessageEvent<Orders>) => {
  const { output, kept, stopAt, after } = data
  let at = 0
  const stop = () => {
    postMessage('stopped')
    return new Promise<never>(() => {})
  }
  function stopIn(prototype: object, name: string): void {
    const methods = prototype as Record<string, (...all: unknown[]) => Promise<unknown>>
    const method = methods[name]!
    methods[name] = async function (...all) {
      const mine = ++at === stopAt
      if (mine && !after) return stop()
      // Also where the operation is refused.
      const result = method.apply(this, all)
      if (!mine) return result
      await result.catch(() => {})
      return stop()
    }
  }
  stopIn(FileSystemFileHandle.prototype, 'createSyncAccessHandle')
  stopIn(FileSystemFileHandle.prototype, 'move')
  stopIn(FileSystemFileHandle.prototype, 'getFile')
  stopIn(FileSystemDirectoryHandle.prototype, 'getDirectoryHandle')
  stopIn(FileSystemDirectoryHandle.prototype, 'removeEntry')
  // Pauses are real, but longer: what is tested is not how fast the machine ends a worker.
  const sleep = setTimeout
  Object.assign(globalThis, { setTimeout: (done: () => void, ms: number) => sleep(done, 20 * ms) })
  try {
    await saveForever(output, kept, postMessage)
  } catch (error) {
    postMessage(`failed: ${(error as Error).stack}`)
  }
})
