// Times a training step: forward, backward, clipping and AdamW of one batch.

import { formatTable } from '../src/cli/table.ts'
import { type Gpu, InFlight } from '../src/gpu/index.ts'
import { median } from '../src/testing/index.ts'
import { type Floor, floorOf, measureRates } from './floor.ts'
import { type StepSize, stepModel } from './models.ts'
import { digits } from './report.ts'
import { startTraining } from './training.ts'

export interface StepOptions {
  size: StepSize
  /** Steps after warm-up. */
  steps?: number
  dropout?: boolean
  /** Masked-language pretraining of the model's encoder, every token of the vocabulary a class; its floor is not told. */
  pretrain?: boolean
  /** Mixed precision; the floor is that of float32 and is not told. */
  fp16?: boolean
  /** Measure what the adapter does and set the step against its floor; always at the full size. */
  floor?: boolean
}

export interface StepResult {
  size: StepSize
  pretrain: boolean
  adapter: string
  parameters: number
  /** Least milliseconds that the step could take here: see floor.ts. */
  floor?: Floor
  /** T, packed tokens of a batch. */
  tokens: number
  steps: number
  /** Median milliseconds of a step. */
  ms: number
  /** Median milliseconds of a step in which the calling thread records commands. */
  recordMs: number
  /** CPU milliseconds of a step over all threads; a software adapter computes in them. */
  cpuMs: number
  launches: number
  submits: number
  uploads: number
  /** Of every step, warm-up included. */
  loss: number[]
  /** Most bytes of device buffers held at once. */
  peakBytes: number
  /** Weights and two moments, and a quarter more; of pretraining a tenth and 256 MiB more. */
  boundBytes: number
  withinBound: boolean
  /** Milliseconds until the model's memory is filled, the kernels compiled and the first step done. */
  firstMs: number
  /** Buffers made after warm-up: the pool should have them all by then. */
  created: number
  /** Buffers held after the last step and not after warm-up, a step. */
  leaked: number
}

const WARM_UP = 3

/** Runs `steps` steps after three of warm-up, each on a batch of its own; nothing is read back in between. */
export async function benchStep(
  gpu: Gpu,
  {
    size,
    steps: wanted,
    dropout = false,
    fp16 = false,
    pretrain = false,
    floor = size === 'full' && !fp16 && !pretrain,
  }: StepOptions,
): Promise<StepResult> {
  const steps = wanted ?? stepModel(size).steps
  const count = WARM_UP + steps
  const training = startTraining(gpu, { size, batches: count, dropout, pretrain, fp16 })
  const { model, first, began, record } = training
  const inFlight = new InFlight()
  const [times, recordTimes]: [number[], number[]] = [[], []]
  let firstMs = 0
  for (let i = 0; i < WARM_UP; i++) {
    record(i)
    await gpu.done()
    if (i === 0) firstMs = performance.now() - began
  }
  const [counts, memory, cpu] = [{ ...gpu.counts }, { ...gpu.memory }, process.cpuUsage()]
  for (let i = WARM_UP; i < count; i++) {
    const started = performance.now()
    record(i)
    recordTimes.push(performance.now() - started)
    await inFlight.push(gpu)
    times.push(performance.now() - started)
  }
  const draining = performance.now()
  await inFlight.drain()
  // The first steps fill the queue and return early; what they left to do is done while draining.
  const elapsed = times.reduce((sum, ms) => sum + ms, 0) + performance.now() - draining
  const { user, system } = process.cpuUsage(cpu)
  const perStep = (count: number) => count / steps
  const parameters = model.numParameters()
  const boundBytes = pretrain ? parameters * 3 * 4 * 1.1 + 2 ** 28 : parameters * 3 * 4 * 1.25
  const result: StepResult = {
    size,
    pretrain,
    adapter: gpu.adapter.line,
    parameters,
    tokens: first.text!.keyMask.length,
    steps,
    ms: steps > 4 ? median(times.slice(2)) : elapsed / steps,
    recordMs: median(recordTimes),
    cpuMs: perStep((user + system) / 1000),
    launches: perStep(gpu.counts.launches - counts.launches),
    submits: perStep(gpu.counts.submits - counts.submits),
    uploads: perStep(gpu.counts.uploads - counts.uploads),
    loss: await training.losses(),
    peakBytes: gpu.memory.peak,
    boundBytes,
    withinBound: gpu.memory.peak <= boundBytes,
    firstMs,
    created: gpu.memory.created - memory.created,
    leaked: perStep(gpu.memory.buffers - memory.buffers),
  }
  training.dispose()
  gpu.pool.trim()
  if (floor) result.floor = floorOf(model, first, await measureRates(gpu))
  return result
}

function floorRows({ ms, floor }: StepResult): [string, string][] {
  if (!floor) return []
  const { flops, bytes, matmulGflops, copyGbps } = floor
  return [
    ['operations on kept tokens', `${digits(flops / 1e9)} G at ${digits(matmulGflops)} GFLOP/s`],
    ['fewest bytes', `${digits(bytes / 1e9)} G at ${digits(copyGbps)} GB/s`],
    ['floor', `${digits(floor.ms)} ms; the step takes ${(ms / floor.ms).toFixed(2)} x`],
  ]
}

export function stepTable(result: StepResult): string {
  const { parameters, tokens, peakBytes, boundBytes, withinBound, loss } = result
  const mega = (bytes: number) => `${digits(bytes / 2 ** 20)} MiB`
  const rows: [string, string][] = [
    ['parameters', parameters.toLocaleString('en')],
    ['tokens a batch', `${tokens}`],
    ['a step, wall time', `${digits(result.ms)} ms`],
    ['a step, CPU time of all threads', `${digits(result.cpuMs)} ms`],
    ['recording it', `${digits(result.recordMs)} ms`],
    ['start and first step', `${digits(result.firstMs)} ms`],
    ...floorRows(result),
    ['launches a step', digits(result.launches)],
    ['submits a step', digits(result.submits)],
    ['uploads a step', digits(result.uploads)],
    ['loss, first and last step', `${loss[0]!.toFixed(4)}  ${loss.at(-1)!.toFixed(4)}`],
    ['peak of device memory', mega(peakBytes)],
    [
      `bound: parameters x 12 B x ${result.pretrain ? '1.1 + 256 MiB' : '1.25'}`,
      `${mega(boundBytes)}, ${withinBound ? 'holds' : 'PASSED'} (${(peakBytes / (parameters * 12)).toFixed(2)} x)`,
    ],
    ['buffers made after step 3', `${result.created}`],
    ['buffers leaked a step', `${result.leaked}`],
  ]
  return formatTable([`step ${result.size}${result.pretrain ? ', pretraining' : ''}`, ''], rows)
}
