import { parentPort } from 'node:worker_threads'
import { collator } from './loader-worker.ts'

const port = parentPort!
port.on(
  'message',
  collator((reply, transfer) => port.postMessage(reply, transfer)),
)
