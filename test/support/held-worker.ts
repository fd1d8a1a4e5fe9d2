// A browser's worker that holds a file until it is terminated, or does what needs it.
import { files } from '../../src/data/files-browser.ts'
import { attempt } from './held-files.ts'

let goOn = () => {}

addEventListener(
  'message',
  async ({ data }: MessageEvent<'hold' | 'lock' | 'go on' | { operation: string }>) => {
    if (data === 'go on') return goOn()
    if (data === 'lock') {
      await files.lock('held')
      return postMessage('locked')
    }
    if (data === 'hold') {
      const root = await navigator.storage.getDirectory()
      const folder = await (await root.getDirectoryHandle('held')).getDirectoryHandle('folder')
      const file = (await folder.getFileHandle('file')) as FileSystemFileHandle & {
        createSyncAccessHandle(): Promise<{ write(bytes: Uint8Array): number }>
      }
      const handle = await file.createSyncAccessHandle()
      handle.write(new TextEncoder().encode('held'))
      // Kept for as long as the worker is.
      Object.assign(globalThis, { handle })
      return postMessage('held')
    }
    const paused = () =>
      new Promise<void>(resolve => {
        goOn = resolve
        postMessage('paused')
      })
    postMessage(await attempt(data.operation, paused))
  },
)
