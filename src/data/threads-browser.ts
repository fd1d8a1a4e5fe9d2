import { KernelgradError } from '../errors.ts'
import type { Reply } from './loader-thread.ts'
import type { Thread } from './threads-node.ts'

/** A bundler has to find the worker's script, so a page uses one only where it is asked to. */
export const spareCore = false

/** Starts the loader's worker. Written in the form that bundlers look for. */
export function startThread(onReply: (reply: Reply) => void, onEnd: (error: Error) => void): Thread {
  const worker = new Worker(new URL('./loader-worker-browser.js', import.meta.url), { type: 'module' })
  worker.onmessage = ({ data }: MessageEvent<Reply>) => onReply(data)
  const ended = (why: string) => onEnd(new KernelgradError(`the loader's worker failed: ${why}`))
  worker.onmessageerror = () => ended('a batch could not be read')
  // A script that does not load has no message.
  worker.onerror = ({ message }) => ended(message ?? 'its script did not load')
  return {
    post: request => worker.postMessage(request),
    // A browser delivers messages between turns of its loop alone, and no page ends for want of work.
    poll() {},
    hold() {},
    terminate: async () => worker.terminate(),
  }
}
