// Times a training step: forward, backward, clipping and AdamW of one batch.

import { autocast, scope, type Tensor } from '../src/autograd/index.ts'
import { formatTable } from '../src/cli/table.ts'
import type { FeatureBatch } from '../src/config/index.ts'
import { maskTokens } from '../src/data/mask-tokens.ts'
import { type Gpu, InFlight } from '../src/gpu/index.ts'
import { createModel, DistilBertForMaskedLM, type Model } from '../src/models/index.ts'
import { AdamW, GradScaler } from '../src/optim/index.ts'
import { median } from '../src/testing/index.ts'
import { parameterGroups } from '../src/train/index.ts'
import { type Floor, floorOf, measureRates } from './floor.ts'
import { randomBatch, type StepModel, type StepSize, stepModel } from './models.ts'
import { digits } from './report.ts'

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

/** A model in training: what a batch's loss is, and where its tokens are. */
interface Trained {
  model: Model
  loss(batch: number): Tensor
  first: FeatureBatch
}

function trainedModel(built: StepModel, count: number, pretrain: boolean): Trained {
  const batches = Array.from({ length: count }, (_, i) => randomBatch(built, 1 + i))
  const first = batches[0]!
  if (!pretrain) {
    const model = createModel(built.config)
    return { model, first, loss: i => model.forward(batches[i]!).loss! }
  }
  const model = new DistilBertForMaskedLM({
    features_config: built.config.features_config,
    pretrained_model_config: built.config.pretrained_model_config,
  })
  const { text, masked } = model.inputs
  const hidden = batches.map(({ text: tokens, size }, i) => {
    const rows = Array.from({ length: size }, (_, row) => row)
    return {
      size,
      rows,
      text: tokens!,
      masked: maskTokens(tokens!, masked, text, { seed: 1, epoch: i, rows }),
    }
  })
  return { model, first, loss: i => model.loss(hidden[i]!) }
}

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
  const built = stepModel(size, { dropout })
  const steps = wanted ?? built.steps
  const count = WARM_UP + steps
  const { model, loss: lossOf, first } = trainedModel(built, count, pretrain)
  const begin = performance.now()
  model.to(gpu, { seed: 1 })
  const groups = parameterGroups(model, { encoder_learning_rate: 1e-4, learning_rate: 1e-3 })
  const optimizer = new AdamW(gpu, groups)
  const scaler = fp16 ? new GradScaler(gpu) : undefined
  const losses = gpu.acquire(4 * count, 'losses')
  const record = (i: number) => {
    scope(() => {
      const loss = autocast(fp16 ? 'f16' : 'f32', () => lossOf(i))
      const scaled = scaler ? scaler.scale(loss) : loss
      scaled.backward()
      gpu.copy(loss.view, { ...losses, offset: 4 * i }, 4)
    })
    optimizer.step({ maxGradNorm: 1, scaler })
    optimizer.zeroGrad()
  }
  const inFlight = new InFlight()
  const [times, recordTimes]: [number[], number[]] = [[], []]
  let firstMs = 0
  for (let i = 0; i < WARM_UP; i++) {
    record(i)
    await gpu.done()
    if (i === 0) firstMs = performance.now() - begin
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
    loss: [...(await gpu.readFloats({ ...losses, size: 4 * count }))],
    peakBytes: gpu.memory.peak,
    boundBytes,
    withinBound: gpu.memory.peak <= boundBytes,
    firstMs,
    created: gpu.memory.created - memory.created,
    leaked: perStep(gpu.memory.buffers - memory.buffers),
  }
  gpu.release(losses)
  optimizer.dispose()
  scaler?.dispose()
  model.free()
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
