// What the JavaScript peers share: the loop that reads one JSON request a line and answers each with one JSON line
// (bench/compare/peer.ts), WebGPU on the adapter this library would choose, and weights by formula.
import { createInterface } from 'node:readline'
import { hashed } from '../../dist/bench/parity/full-case.js'
import { findAdapter } from '../../dist/src/gpu/index.js'
import { wait } from '../../dist/src/gpu/platform-node.js'

export { wait }

/** Offers WebGPU where a browser would have it. */
export function offerWebGpu(adapter, hardwareConcurrency) {
  const requestAdapter = async () => (await findAdapter(adapter)).adapter
  const value = {
    gpu: { requestAdapter, getPreferredCanvasFormat: () => 'bgra8unorm' },
    userAgent: 'node',
    hardwareConcurrency,
  }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
}

/** Initial values of one of the work's parameters. */
export function initial(work, { name, shape }) {
  const size = shape.reduce((n, d) => n * d, 1)
  const values = hashed(name, 0, size, work.scale, work.centers[name] ?? 0)
  if (name.endsWith('word_embeddings.weight')) {
    const width = shape[1]
    values.fill(0, work.pad * width, (work.pad + 1) * width)
  }
  return values
}

/** Says which parameter no single binding of the device can hold: neither peer splits a tensor over buffers. */
export function checkBindings(work, { maxStorageBufferBindingSize: limit }) {
  for (const { name, shape } of work.parameters) {
    const bytes = 4 * shape.reduce((n, d) => n * d, 1)
    const mega = n => `${(n / 2 ** 20).toFixed(0)} MiB`
    if (bytes > limit)
      throw new RangeError(`${name} has ${mega(bytes)}, a binding of this adapter at most ${mega(limit)}`)
  }
}

/** Values of an operator's input. */
export const inputOf = ({ name, shape, scale }) =>
  hashed(
    name,
    0,
    shape.reduce((n, d) => n * d, 1),
    scale,
  )

/**
 * Answers requests until the input ends. `library` has `open(request)`, `train(work)` and `operator(work)`; both return
 * a job with `run(count)`, and `values()` for an operator.
 */
export async function serve(library) {
  const send = answer => process.stdout.write(`${JSON.stringify(answer)}\n`)
  console.log = console.warn = console.info = (...words) => process.stderr.write(`${words.join(' ')}\n`)
  let job
  const handle = async request => {
    if (request.do === 'open') return { version: await library.open(request) }
    if (request.do === 'train') job = await library.train(request.work)
    else if (request.do === 'operator') job = await library.operator(request.work)
    else if (request.do === 'values') return { values: await job.values() }
    else if (request.do === 'end') await job?.dispose?.()
    else if (request.do === 'run') {
      const started = performance.now()
      const result = await job.run(request.count)
      return { ...result, ms: performance.now() - started }
    }
    return {}
  }
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      send(await handle(JSON.parse(line)))
    } catch (error) {
      send({ error: `${error?.name ?? 'Error'}: ${error?.message ?? error}` })
    }
  }
  process.exit(0)
}
