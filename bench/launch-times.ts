// How long each launch takes on the device, by its own clock: every launch gets a pass of its own with a time stamp at each end.
import type { Gpu } from '../src/gpu/index.ts'

/** A launch on the device. */
export interface LaunchTime {
  /** Label of its pipeline: 'layernorm.forward'. */
  name: string
  ms: number
}

/** Launches of one encoder: as many as the recorder puts in it at most. */
const MOST = 2048

interface Stamped {
  names: string[]
  read: GPUBuffer
}

/** The times of the launches from when it was made. */
export class LaunchTimes {
  readonly #device: GPUDevice
  readonly #encode: GPUDevice['createCommandEncoder']
  readonly #stamped: Stamped[] = []

  /** Why there are none on a device, or nothing. */
  static missing(gpu: Gpu): string | undefined {
    return gpu.features.has('timestamp-query') ? undefined : 'the adapter offers no timestamp-query'
  }

  constructor({ device }: Gpu) {
    this.#device = device
    this.#encode = device.createCommandEncoder
    const encode = this.#encode.bind(device)
    device.createCommandEncoder = descriptor => this.#stamp(encode(descriptor))
  }

  #stamp(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const device = this.#device
    const begin = encoder.beginComputePass.bind(encoder)
    const finish = encoder.finish.bind(encoder)
    const names: string[] = []
    let querySet: GPUQuerySet | undefined
    let made: Stamped | undefined
    encoder.beginComputePass = () => {
      // Neighbouring launches of one kernel set its pipeline once: a pass begins with its dispatch.
      let pipeline: GPUComputePipeline
      let bound: Parameters<GPUComputePassEncoder['setBindGroup']>
      const stamped = {
        setPipeline(given: GPUComputePipeline) {
          pipeline = given
        },
        setBindGroup(...given: Parameters<GPUComputePassEncoder['setBindGroup']>) {
          bound = given
        },
        dispatchWorkgroups(...groups: [number, number?, number?]) {
          querySet ??= device.createQuerySet({ type: 'timestamp', count: 2 * MOST })
          const at = 2 * names.push(pipeline.label) - 2
          const pass = begin({
            timestampWrites: { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
          })
          pass.setPipeline(pipeline)
          pass.setBindGroup(...bound)
          pass.dispatchWorkgroups(...groups)
          pass.end()
        },
        end() {},
      }
      return stamped as unknown as GPUComputePassEncoder
    }
    encoder.finish = descriptor => {
      if (names.length) {
        const size = 16 * names.length
        const { COPY_SRC, COPY_DST, QUERY_RESOLVE, MAP_READ } = GPUBufferUsage
        const resolved = device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC })
        made = { names, read: device.createBuffer({ size, usage: COPY_DST | MAP_READ }) }
        encoder.resolveQuerySet(querySet!, 0, 2 * names.length, resolved, 0)
        encoder.copyBufferToBuffer(resolved, 0, made.read, 0, size)
        this.#stamped.push(made)
      }
      return finish(descriptor)
    }
    return encoder
  }

  /** The launches since it was made or last asked, in order; what was submitted must be done. */
  async take(): Promise<LaunchTime[]> {
    const times: LaunchTime[] = []
    for (const { names, read } of this.#stamped.splice(0)) {
      await read.mapAsync(GPUMapMode.READ)
      const stamps = new BigUint64Array(read.getMappedRange().slice(0))
      for (const [i, name] of names.entries())
        times.push({ name, ms: Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1e6 })
      read.destroy()
    }
    return times
  }

  /** Lets the device record as before. */
  remove(): void {
    this.#device.createCommandEncoder = this.#encode
  }
}
