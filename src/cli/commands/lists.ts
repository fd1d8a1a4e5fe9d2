import { type GroupListsOptions, groupLists } from '../../datasets/lists/index.ts'
import { InterruptedError, onInterrupt } from '../interrupt.ts'
import { createProgress, formatSeconds } from '../progress.ts'
import { talkStream } from '../say.ts'
import { count, formatTable } from '../table.ts'

export interface ListsCommandOptions
  extends Pick<
    GroupListsOptions,
    'name' | 'order' | 'longest' | 'longer' | 'split' | 'query' | 'time' | 'seed'
  > {
  data: string[]
  by: string[]
  out: string
  testShare?: number
  memory?: number
  json?: boolean
}

/** Writes rows list by list; a signal removes what is half done. */
export async function run(options: ListsCommandOptions): Promise<void> {
  const { out, memory, json, ...more } = options
  const started = Date.now()
  const stream = talkStream(json)
  const abort = new AbortController()
  const letGo = onInterrupt(() => abort.abort())
  try {
    const { files, longest, cut } = await groupLists({
      ...more,
      output: out,
      ...(memory === undefined ? {} : { memoryMiB: memory }),
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
    if (json) process.stdout.write(`${JSON.stringify({ ...files, longest, cut, seconds })}\n`)
    else {
      const table = formatTable(
        ['file', 'lists', 'rows'],
        Object.values(files).map(({ path, lists, rows }) => [path, count(lists), count(rows)]),
      )
      const shorter = cut ? `; ${count(cut)} longer ones were cut` : ''
      stream.write(
        `\n${table}\n\nthe longest list has ${count(longest)} rows${shorter}; done in ${formatSeconds(seconds)}\n`,
      )
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error
    throw new InterruptedError(`stopped; ${out} is as it was`, { cause: error })
  } finally {
    letGo()
  }
}
