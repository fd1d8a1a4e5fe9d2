/** The worker's end: collates, or reads, what it is asked for, in turn. */
import type { Inputs } from '../inputs.ts'
import { collateInto } from './collate.ts'
import type { Columns } from './dataset.ts'
import type { Reply, Request } from './loader-thread.ts'
import type { WindowReader, WindowRequest } from './stream-reader.ts'

type Post = (reply: Reply, transfer: ArrayBuffer[]) => void

/** @returns what to call with every request; `post` sends a reply and hands the buffers over. */
export function collator(post: Post): (request: Request) => void {
  let from: { columns: Columns; inputs: Inputs } | undefined
  let reader: Promise<WindowReader> | undefined
  let turn: Promise<void> = Promise.resolve()
  return request => {
    if ('columns' in request) from = request
    else if ('marks' in request)
      // Loaded on use: who only collates has no need of decoders.
      reader = import('./stream-reader.ts').then(
        ({ WindowReader }) => new WindowReader(request.marks, request.reading),
      )
    else if ('window' in request) turn = turn.then(() => readInto(post, reader!, request.window))
    else
      try {
        const { batch, buffer } = collateInto(from!.columns, request.rows, from!.inputs, request.options)
        post({ batch }, [buffer])
      } catch (error) {
        post(failure(error), [])
      }
  }
}

async function readInto(post: Post, reader: Promise<WindowReader>, window: WindowRequest): Promise<void> {
  try {
    const read = await (await reader).read(window)
    const { lists, ids, floats } = read.columns
    const arrays = [
      ...Object.values(lists).flatMap(({ values, offsets }) => [values, offsets]),
      ...Object.values(ids),
      ...Object.values(floats),
      read.order,
    ]
    // Shared memory is there for both without being handed over.
    const owned = arrays.flatMap(({ buffer }) => (buffer instanceof ArrayBuffer ? buffer : []))
    post({ read }, [...new Set(owned)])
  } catch (error) {
    post(failure(error), [])
  }
}

function failure(error: unknown): Reply {
  const { name, message, stack } = error as Error
  return { error: { name, message, stack } }
}
