// The server under load, in a process of its own, with a seam that the command has not: the other end may lose its device.
import { createApp } from '../src/cli/serve/app.ts'
import { warmUp } from '../src/cli/serve/warm-up.ts'
import { type Gpu, openGpu } from '../src/gpu/index.ts'
import { Scorer } from '../src/serve/index.ts'

let gpu: Gpu
const open = async () => {
  gpu = await openGpu()
  return gpu
}
const scorer = await Scorer.open(process.argv[2]!, {
  open,
  onEvent: event => process.send!({ event: event.kind }),
})
const limits = { maxRows: 1000, bodyLimit: 1 << 20, timeout: 30_000 }
await warmUp(scorer, limits)
const app = createApp(scorer, limits)
const url = await app.listen({ host: '127.0.0.1', port: 0 })

process.on('message', async (asked: 'lose' | 'reload' | 'memory' | 'end') => {
  if (asked === 'lose') gpu.device.destroy()
  else if (asked === 'reload') await scorer.reload()
  else if (asked === 'memory') {
    globalThis.gc?.()
    const { rss, heapUsed } = process.memoryUsage()
    process.send!({ memory: { rss, heapUsed, device: gpu.memory.allocated } })
  } else {
    await app.close()
    await scorer.close()
    process.disconnect()
  }
})
process.send!({ url, adapter: gpu!.adapter.line })
