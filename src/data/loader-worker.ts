/** The worker's end: collates what it is asked for, in turn. */
import type { Inputs } from '../inputs.ts'
import { collateInto } from './collate.ts'
import type { Columns } from './dataset.ts'
import type { Reply, Request } from './loader-thread.ts'

/** @returns what to call with every request; `post` sends a reply and hands the buffers over. */
export function collator(post: (reply: Reply, transfer: ArrayBuffer[]) => void): (request: Request) => void {
  let from: { columns: Columns; inputs: Inputs } | undefined
  return request => {
    if ('columns' in request) {
      from = request
      return
    }
    try {
      const { batch, buffer } = collateInto(from!.columns, request.rows, from!.inputs, request.options)
      post({ batch }, [buffer])
    } catch (error) {
      const { name, message, stack } = error as Error
      post({ error: { name, message, stack } }, [])
    }
  }
}
