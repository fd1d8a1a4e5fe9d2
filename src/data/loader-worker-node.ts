import { type MessagePort, workerData } from 'node:worker_threads'
import { collator } from './loader-worker.ts'

const port: MessagePort = workerData
port.on(
  'message',
  collator((reply, transfer) => port.postMessage(reply, transfer)),
)
