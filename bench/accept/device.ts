// The adapter, what compiling costs, and what the card can do at most.
import { cpus, release, totalmem } from 'node:os'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import { probeMatrixUnits, VERSION } from '../../src/kernels/index.ts'
import type { StepSize } from '../models.ts'
import { measurePeaks } from '../peaks.ts'
import { startTraining } from '../training.ts'
import type { Context } from './part.ts'

/** Opens a device for `body`, which may use its matrix units. */
export async function withGpu<T>(body: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await openGpu()
  try {
    await probeMatrixUnits(gpu)
    return await body(gpu)
  } finally {
    gpu.close()
  }
}

/** The training steps that are looked at in detail. */
export const stepsOf = (quick: boolean): { name: string; size: StepSize; fp16?: boolean }[] =>
  quick
    ? [{ name: 'tiny', size: 'tiny' }]
    : [
        { name: 'full', size: 'full' },
        { name: 'full, f16', size: 'full', fp16: true },
        { name: 'long texts', size: 'long' },
      ]

export const adapter = ({ report }: Context): Promise<void> =>
  withGpu(async gpu => {
    const { info, limits } = gpu.adapter.adapter
    const plain = (object: object) => {
      const all: Record<string, unknown> = {}
      for (const key in object) all[key] = (object as Record<string, unknown>)[key]
      return all
    }
    report({
      line: gpu.adapter.line,
      kind: gpu.adapter.kind,
      forms: gpu.forms,
      subgroups: gpu.subgroups ?? null,
      matrixUnits: await probeMatrixUnits(gpu),
      info: plain(info),
      features: [...gpu.adapter.adapter.features].sort(),
      limits: plain(limits),
      library: VERSION,
      system: `${process.platform}-${process.arch} ${release()}`,
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryBytes: totalmem(),
      node: process.version,
    })
  })

/** Compiles the pipelines of the steps one after the other. */
export async function compile({ quick, report, say }: Context): Promise<void> {
  const pipelines: { step: string; name: string; ms: number }[] = []
  for (const { name: step, ...options } of stepsOf(quick)) {
    await withGpu(async gpu => {
      const { device } = gpu
      const build = device.createComputePipelineAsync.bind(device)
      let before: Promise<unknown> = Promise.resolve()
      device.createComputePipelineAsync = descriptor => {
        const made = before.then(async () => {
          const began = performance.now()
          const pipeline = await build(descriptor)
          pipelines.push({ step, name: descriptor.label ?? '', ms: performance.now() - began })
          return pipeline
        })
        before = made.catch(() => {})
        return made
      }
      const training = startTraining(gpu, { ...options, dropout: true, batches: 1 })
      training.record(0)
      // Some drivers compile when a pipeline is first run.
      const began = performance.now()
      await gpu.done()
      pipelines.push({ step, name: 'the first step, all in all', ms: performance.now() - began })
      training.dispose()
    })
    say(`${pipelines.length} compiled`)
    report({ pipelines })
  }
}

export const peaks = ({ quick, report }: Context): Promise<void> =>
  withGpu(async gpu => report(await measurePeaks(gpu, { quick })))
