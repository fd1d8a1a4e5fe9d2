// A browser's worker that saves until it is terminated.
import { saveForever } from './save-forever.ts'

addEventListener('message', async ({ data }: MessageEvent<{ output: string; kept: number }>) => {
  try {
    await saveForever(data.output, data.kept, postMessage)
  } catch (error) {
    postMessage(`failed: ${(error as Error).stack}`)
  }
})
