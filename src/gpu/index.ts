/**
 * The device: adapter, memory, kernels and their launches, readback. Nothing here knows of tensors.
 *
 * @module kernelgrad/gpu
 */
export { type AdapterChoice, type AdapterFound, findAdapter } from './adapter.ts'
export type { AdapterKind, Forms, SubgroupSizes } from './forms.ts'
export { Gpu, type GpuOptions, MATRIX_FEATURE, openGpu } from './gpu.ts'
export { InFlight } from './in-flight.ts'
export {
  type Access,
  defineKernel,
  foldGrid,
  type Grid,
  type Kernel,
  type View,
  withConstants,
} from './kernel.ts'
export type { BufferPool, MemoryUse } from './pool.ts'
export type { RecorderCounts } from './recorder.ts'
export { type Constants, wgslText } from './wgsl-text.ts'
