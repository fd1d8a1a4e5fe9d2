// What differs between a thread of Node and one of a browser.
import { availableParallelism } from 'node:os'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { KernelgradError } from '../errors.ts'
import type { Reply, Request } from './loader-thread.ts'

/** Whether a thread is likely to have a core of its own: two are taken by the caller and a software adapter. */
export const spareCore = availableParallelism() > 2

/** A thread that runs the loader's worker. */
export interface Thread {
  post(request: Request): void
  /** Takes in the replies that are there, rather than with the next turn of the event loop. */
  poll(): void
  /** Whether the process stays alive for it; not unless told. */
  hold(on: boolean): void
  terminate(): Promise<unknown>
}

/**
 * Starts the loader's worker.
 * @param onEnd Called when no more replies will come, with the reason.
 */
export function startThread(onReply: (reply: Reply) => void, onEnd: (error: Error) => void): Thread {
  const { port1: port, port2 } = new MessageChannel()
  const worker = new Worker(new URL('./loader-worker-node.js', import.meta.url), {
    workerData: port2,
    transferList: [port2],
    // Not the process's flags: some of them (--input-type) keep a script in a file from starting.
    execArgv: [],
  })
  port.on('message', onReply)
  port.on('messageerror', onEnd)
  worker.on('error', onEnd)
  worker.on('exit', code => onEnd(new KernelgradError(`the loader's worker ended with exit code ${code}`)))
  const hold = (on: boolean) => {
    for (const held of [worker, port]) on ? held.ref() : held.unref()
  }
  hold(false)
  return {
    post: request => port.postMessage(request),
    poll() {
      for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) onReply(got.message)
    },
    hold,
    terminate: () => worker.terminate(),
  }
}
