// Long work on files, stage by stage: a bar for each, and a signal that ends it with nothing half done.
import { InterruptedError, onInterrupt } from './interrupt.ts'
import { createProgress, formatSeconds } from './progress.ts'
import { talkStream } from './say.ts'

/** What such work is given. */
export interface Staged {
  signal: AbortSignal
  /** A stage begins; `update` takes the share of it that is done. */
  onStage(label: string): { update(share: number): void; done(): void }
}

/** What it ends with: the result as JSON, and as a person reads it, with the time it took. */
export interface Made {
  json: object
  told(time: string): string
}

/** Does work whose output is `out`, and tells what it made. */
export async function inStages(
  { out, json }: { out: string; json?: boolean | undefined },
  work: (how: Staged) => Promise<Made>,
): Promise<void> {
  const started = Date.now()
  const stream = talkStream(json)
  const abort = new AbortController()
  const letGo = onInterrupt(() => abort.abort())
  try {
    const made = await work({
      signal: abort.signal,
      onStage(label) {
        const progress = createProgress({ total: 100, label, stream })
        return {
          update: share => progress.update({ done: Math.floor(100 * share) }),
          done() {
            progress.update({ done: 100 })
            progress.stop()
          },
        }
      },
    })
    const seconds = (Date.now() - started) / 1000
    if (json) process.stdout.write(`${JSON.stringify({ ...made.json, seconds })}\n`)
    else stream.write(made.told(formatSeconds(seconds)))
  } catch (error) {
    if (!abort.signal.aborted) throw error
    throw new InterruptedError(`stopped; ${out} is as it was`, { cause: error })
  } finally {
    letGo()
  }
}
