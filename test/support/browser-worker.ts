// A browser's worker that does the jobs of browser-run.ts.
import { type Job, run } from './browser-run.ts'

addEventListener('message', async ({ data }: MessageEvent<Job>) => {
  try {
    postMessage({ outcome: await run(data) })
  } catch (error) {
    postMessage({ error: (error as Error).stack ?? String(error) })
  }
})
