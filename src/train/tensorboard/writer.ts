// A run's log as TensorBoard reads it: a file of events below the run's folder, and a further one each time the run goes on.
import { files } from '#files'
import type { WriteFile } from '../../data/file-system.ts'
import { isSystemError, reason } from '../../data/files.ts'
import { DataError } from '../../errors.ts'
import type { TrainerCallback } from '../callbacks.ts'
import type { LogEntry } from '../trainer-state.ts'
import { type Content, event } from './events.ts'

/** The folder of event files within a run's. */
const EVENTS_FOLDER = 'runs'

/** The callback that writes, and what ends its file. */
export interface EventWriter {
  callback: TrainerCallback
  close(): Promise<void>
}

/**
 * Writes every entry of the log into `<output>/runs`, under the tags that transformers' TensorBoardCallback has: `train/loss`, `eval/roc_auc`.
 * Every entry is in the file as soon as it is logged.
 * @throws DataError naming the file that cannot be written
 */
export function eventWriter(output: string): EventWriter {
  let file: WriteFile | undefined
  let path = ''
  const guard = async <T>(work: Promise<T>): Promise<T> =>
    work.catch(error => {
      throw isSystemError(error)
        ? new DataError(`cannot write ${path}: ${reason(error)}`, { cause: error })
        : error
    })
  const write = (step: number, content: Content) =>
    guard(file!.write(event(Date.now() / 1000, step, content)))
  return {
    callback: {
      async onTrainBegin({ args, state, model }) {
        const folder = files.join(output, EVENTS_FOLDER)
        path = folder
        await guard(files.makeFolder(folder))
        ;({ path, file } = await guard(newFile(folder)))
        await write(0, { version: true })
        const { global_step: step } = state
        if (step) await write(step + 1, { restart: true })
        await write(step, { tag: 'args/text_summary', text: asMarkdown(args) })
        await write(step, { tag: 'model_config/text_summary', text: asMarkdown(model.config) })
      },
      async onLog({ logs }) {
        await write(logs.step, { scalars: scalarsOf(logs) })
      },
    },
    async close() {
      const open = file
      file = undefined
      await open?.close()
    },
  }
}

/** A name that no file of the folder has: TensorBoard reads them in the order of their names. */
async function newFile(folder: string): Promise<{ path: string; file: WriteFile }> {
  const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0')
  const there = await files.list(folder)
  for (let i = 0; ; i++) {
    const name = `events.out.tfevents.${seconds}.kernelgrad.${String(i).padStart(4, '0')}`
    if (there.includes(name)) continue
    const path = files.join(folder, name)
    return { path, file: await files.create(path) }
  }
}

/** Indented, so that TensorBoard shows it as it stands. */
const asMarkdown = (value: unknown): string => JSON.stringify(value, null, 2).replace(/^/gm, '    ')

/** Source of the tags: transformers `rewrite_logs`. */
function scalarsOf({ step: _, ...logs }: LogEntry): Record<string, number> {
  return Object.fromEntries(
    Object.entries(logs).map(([name, value]) => [
      name.startsWith('eval_') ? `eval/${name.slice('eval_'.length)}` : `train/${name}`,
      value,
    ]),
  )
}
