// One rank of `npm run bench -- ranks`: what it measures goes to the parent process, from rank 0. Arguments: sum or steps, and how much.
import { setTimeout as sleep } from 'node:timers/promises'
import { openRanks } from '../src/ranks/index.ts'
import { median } from '../src/testing/index.ts'

const [what, ...numbers] = process.argv.slice(2)
const [floats = 0, times = 1, deviceMs = 0] = numbers.map(Number)
const ranks = await openRanks()
const values = new Float32Array(floats).fill(1 / 3)
const took: number[] = []

/** A step: the device works on its own, so that the processor is free, and then gradients are summed. */
const step = async () => {
  if (what === 'steps') await sleep(deviceMs)
  await ranks.sum(values)
}

await step()
const before = ranks.moved.sent
for (let time = 0; time < times; time++) {
  await ranks.barrier()
  const started = performance.now()
  await step()
  took.push(performance.now() - started)
  values.fill(1 / 3)
}
const sent = (ranks.moved.sent - before) / times
if (ranks.rank === 0)
  console.log(JSON.stringify({ ms: median(took), best: Math.min(...took), sent, size: ranks.size }))
await ranks.close()
