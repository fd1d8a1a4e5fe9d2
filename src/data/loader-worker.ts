/** The worker's end: collates what it is asked for, in turn. */
import { type CollateOptions, collate } from './collate.ts'
import type { Columns } from './dataset.ts'
import type { Reply, Request } from './loader-thread.ts'

/** @returns what to call with every request; `post` sends a reply and hands the buffers over. */
export function collator(post: (reply: Reply, transfer: ArrayBuffer[]) => void): (request: Request) => void {
  let from: { columns: Columns; options: CollateOptions } | undefined
  return request => {
    if (!(request instanceof Uint32Array)) {
      from = request
      return
    }
    try {
      const batch = collate(from!.columns, request, from!.options)
      // All arrays of a batch lie in one buffer.
      const { text, labels, numerical, categorical } = batch
      const any =
        text?.cuSeqlens ?? labels ?? Object.values(numerical)[0] ?? Object.values(categorical)[0]?.ids
      post({ batch }, any ? [any.buffer as ArrayBuffer] : [])
    } catch (error) {
      const { name, message, stack } = error as Error
      post({ error: { name, message, stack } }, [])
    }
  }
}
