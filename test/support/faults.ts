// Faults on a device, through its own methods: the n-th call of a kind is refused as WebGPU refuses it, or the device is lost at it.
import type { Gpu } from '../../src/gpu/index.ts'

/** What can be refused. */
export const FAULTS = [
  'createBuffer',
  'mapAsync',
  'createComputePipelineAsync',
  'createShaderModule',
] as const
export type Fault = (typeof FAULTS)[number]

/** Calls counted from when it was made, and what takes the seam out again. */
export interface Seam {
  calls(): number
  remove(): void
}

/** Lets the `nth` call of a kind on the device be refused (none where it is 0), counted from 1. */
export function refuse({ device }: Gpu, fault: Fault, nth: number): Seam {
  let calls = 0
  const due = () => ++calls === nth
  if (fault === 'mapAsync') {
    const { mapAsync } = GPUBuffer.prototype
    GPUBuffer.prototype.mapAsync = function (...args) {
      if (!due()) return mapAsync.apply(this, args)
      return Promise.reject(new Error('mapping was refused'))
    }
    const remove = () => {
      GPUBuffer.prototype.mapAsync = mapAsync
    }
    return { calls: () => calls, remove }
  }
  const { createBuffer, createShaderModule, createComputePipelineAsync, popErrorScope } = device
  let told = true
  const pop = popErrorScope.bind(device)
  device.popErrorScope = async () => {
    const tell = !told
    told = true
    const found = await pop()
    return tell ? ({ message: 'no room' } as GPUError) : found
  }
  if (fault === 'createBuffer') {
    const create = createBuffer.bind(device)
    device.createBuffer = descriptor => {
      if (!due()) return create(descriptor)
      told = false
      // An invalid buffer, whose own reason reaches nobody.
      device.pushErrorScope('validation')
      const buffer = create({ ...descriptor, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE })
      void pop()
      return buffer
    }
  } else if (fault === 'createShaderModule') {
    const create = createShaderModule.bind(device)
    device.createShaderModule = descriptor =>
      due() ? create({ ...descriptor, code: 'refused' }) : create(descriptor)
  } else {
    const create = createComputePipelineAsync.bind(device)
    device.createComputePipelineAsync = descriptor =>
      due() ? Promise.reject(new Error('the pipeline was refused')) : create(descriptor)
  }
  const remove = () =>
    Object.assign(device, { createBuffer, createShaderModule, createComputePipelineAsync, popErrorScope })
  return { calls: () => calls, remove }
}

/** Loses the device at its `nth` launch, copy, upload, read or making of a buffer (at none where it is 0), counted from 1. */
export function lose(gpu: Gpu, nth: number): Seam {
  let calls = 0
  const count = () => {
    if (++calls === nth) gpu.device.destroy()
  }
  for (const name of ['launch', 'copy', 'upload', 'readBytes', 'acquire', 'allocate'] as const) {
    const call = gpu[name].bind(gpu) as (...args: unknown[]) => unknown
    Object.assign(gpu, {
      [name]: (...args: unknown[]) => {
        count()
        return call(...args)
      },
    })
  }
  return { calls: () => calls, remove: () => {} }
}
