// What differs between a thread of Node and one of a browser.
import { Worker } from 'node:worker_threads'
import { KernelgradError } from '../errors.ts'
import type { Reply, Request } from './loader-thread.ts'

/** A thread that runs the loader's worker. */
export interface Thread {
  post(request: Request): void
  /** Whether the process stays alive for it; not unless told. */
  hold(on: boolean): void
  terminate(): Promise<unknown>
}

/**
 * Starts the loader's worker.
 * @param onEnd Called when no more replies will come, with the reason.
 */
export function startThread(onReply: (reply: Reply) => void, onEnd: (error: Error) => void): Thread {
  const worker = new Worker(new URL('./loader-worker-node.js', import.meta.url))
  worker.on('message', onReply)
  worker.on('messageerror', onEnd)
  worker.on('error', onEnd)
  worker.on('exit', code => onEnd(new KernelgradError(`the loader's worker ended with exit code ${code}`)))
  worker.unref()
  return {
    post: request => worker.postMessage(request),
    hold: on => (on ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  }
}
