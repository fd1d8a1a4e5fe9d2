import { collator } from './loader-worker.ts'

const answer = collator((reply, transfer) => postMessage(reply, { transfer }))
addEventListener('message', ({ data }) => answer(data))
