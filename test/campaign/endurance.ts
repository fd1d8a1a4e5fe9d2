// A long small training whose counts must not grow: `npm run endurance -- --steps 10000`.
import { parseArgs } from 'node:util'
import { openGpu } from '../../src/gpu/index.ts'
import { type Held, train } from '../support/endurance.ts'

const { values } = parseArgs({ options: { steps: { type: 'string', default: '10000' } } })
const steps = Number(values.steps)
const collect = (globalThis as { gc?: () => void }).gc
if (!collect) throw new Error('run it with node --expose-gc')
const gpu = await openGpu()
// The first line that a process tells makes Node open /dev/null once: not in the middle.
console.log(`${steps} steps on ${gpu.adapter.line}`)
/**
 * Every 4,096 steps the optimizer's history starts again, and all rows catch up in other buffers than usual: a few bind groups more, each time fewer
 * that are new. A kernel keeps 512 at most.
 */
const SLACK: Partial<Held> = { bindGroups: 0.02 }
let first: (Held & { heap: number; rss: number }) | undefined
let problems: string[] = []
for await (const { step, held } of train(gpu, steps)) {
  if (step % 1000 && step !== steps) continue
  collect()
  const { heapUsed: heap, rss } = process.memoryUsage()
  const now = { ...held, heap, rss }
  console.log(step, JSON.stringify(now))
  first ??= now
  problems = Object.entries(held).flatMap(([name, count]) =>
    Math.abs(count / first![name as keyof Held] - 1) <= (SLACK[name as keyof Held] ?? 0)
      ? []
      : [`${name}: ${first![name as keyof Held]} at first, ${count} now`],
  )
  if (heap > first.heap * 1.1) problems.push(`heap: ${heap / first.heap} times what it was`)
  if (rss > first.rss * 1.25) problems.push(`rss: ${rss / first.rss} times what it was`)
}
gpu.close()
for (const problem of problems) console.log(problem)
console.log(problems.length ? 'it grows' : 'nothing grew')
process.exit(problems.length ? 1 : 0)
