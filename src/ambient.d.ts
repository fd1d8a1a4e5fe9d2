// Global names that the public types mention and a project may lack: WebGPU's are in TypeScript's `dom` library from version 6 on
// and in @webgpu/types, the others in `dom` and @types/node. Where a project has them, each of these adds nothing to it;
// where it has not, it is what the library's user needs of it. The build puts a reference to this file into every entry.

type KernelgradIfAbsent<Known, T> = Known extends true ? object : T
type KernelgradHasWebGpu = typeof globalThis extends { GPUCompilationInfo: unknown } ? true : false
type KernelgradHasBlob = typeof globalThis extends { Blob: unknown } ? true : false
type KernelgradHasFile = typeof globalThis extends { File: unknown } ? true : false
type KernelgradHasAbort = typeof globalThis extends { AbortController: unknown } ? true : false

interface KernelgradNamed {
  label: string
}
interface KernelgradDevice extends KernelgradNamed {
  readonly features: ReadonlySet<string>
  readonly limits: GPUSupportedLimits
  readonly queue: GPUQueue
  readonly lost: Promise<{ readonly reason: 'unknown' | 'destroyed'; readonly message: string }>
  createBuffer(descriptor: {
    size: number
    /** Flags of GPUBufferUsage. */
    usage: number
    label?: string
    mappedAtCreation?: boolean
  }): GPUBuffer
  createShaderModule(descriptor: { code: string; label?: string }): KernelgradNamed
  createComputePipeline(descriptor: KernelgradComputePipelineDescriptor): GPUComputePipeline
  createComputePipelineAsync(descriptor: KernelgradComputePipelineDescriptor): Promise<GPUComputePipeline>
  createBindGroup(descriptor: {
    layout: GPUBindGroupLayout
    entries: { binding: number; resource: GPUBufferBinding }[]
    label?: string
  }): GPUBindGroup
  createCommandEncoder(descriptor?: { label?: string }): KernelgradCommandEncoder
  pushErrorScope(filter: 'validation' | 'out-of-memory' | 'internal'): void
  popErrorScope(): Promise<{ readonly message: string } | null>
  destroy(): void
}
interface KernelgradComputePipelineDescriptor {
  layout: 'auto'
  compute: { module: KernelgradNamed; entryPoint?: string; constants?: Record<string, number> }
  label?: string
}
interface KernelgradCommandEncoder extends KernelgradNamed {
  beginComputePass(descriptor?: { label?: string }): {
    setPipeline(pipeline: GPUComputePipeline): void
    setBindGroup(index: number, group: GPUBindGroup): void
    dispatchWorkgroups(x: number, y?: number, z?: number): void
    end(): void
  }
  copyBufferToBuffer(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, size: number): void
  clearBuffer(buffer: GPUBuffer, offset?: number, size?: number): void
  finish(): KernelgradNamed
}
interface KernelgradQueue extends KernelgradNamed {
  submit(commands: Iterable<KernelgradNamed>): void
  onSubmittedWorkDone(): Promise<undefined>
  writeBuffer(buffer: GPUBuffer, offset: number, data: ArrayBufferLike | ArrayBufferView): void
}
interface KernelgradBuffer extends KernelgradNamed {
  readonly size: number
  readonly usage: number
  readonly mapState: 'unmapped' | 'pending' | 'mapped'
  /** `mode` is 1 to read and 2 to write. */
  mapAsync(mode: number, offset?: number, size?: number): Promise<undefined>
  getMappedRange(offset?: number, size?: number): ArrayBuffer
  unmap(): void
  destroy(): void
}
interface KernelgradLimits {
  readonly maxBindGroups: number
  readonly maxBufferSize: number
  readonly maxComputeInvocationsPerWorkgroup: number
  readonly maxComputeWorkgroupSizeX: number
  readonly maxComputeWorkgroupSizeY: number
  readonly maxComputeWorkgroupSizeZ: number
  readonly maxComputeWorkgroupsPerDimension: number
  readonly maxComputeWorkgroupStorageSize: number
  readonly maxStorageBufferBindingSize: number
  readonly maxStorageBuffersPerShaderStage: number
  readonly maxUniformBufferBindingSize: number
  readonly minStorageBufferOffsetAlignment: number
  readonly minUniformBufferOffsetAlignment: number
}
interface KernelgradAdapter {
  readonly features: ReadonlySet<string>
  readonly limits: GPUSupportedLimits
  readonly info: {
    readonly vendor: string
    readonly architecture: string
    readonly device: string
    readonly description: string
  }
}
interface KernelgradBinding {
  buffer: GPUBuffer
  offset?: number
  size?: number
}
interface KernelgradMessage {
  readonly message: string
  readonly type: 'error' | 'warning' | 'info'
  readonly lineNum: number
  readonly linePos: number
}
type KernelgradGpuDevice = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradDevice>
type KernelgradGpuQueue = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradQueue>
type KernelgradGpuBuffer = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradBuffer>
type KernelgradGpuAdapter = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradAdapter>
type KernelgradGpuLimits = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradLimits>
type KernelgradGpuMessage = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradMessage>
type KernelgradGpuBinding = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradBinding>
type KernelgradGpuNamed = KernelgradIfAbsent<KernelgradHasWebGpu, KernelgradNamed>
type KernelgradGpuPipeline = KernelgradIfAbsent<
  KernelgradHasWebGpu,
  KernelgradNamed & { getBindGroupLayout(index: number): GPUBindGroupLayout }
>
interface GPUDevice extends KernelgradGpuDevice {}
interface GPUQueue extends KernelgradGpuQueue {}
interface GPUBuffer extends KernelgradGpuBuffer {}
interface GPUAdapter extends KernelgradGpuAdapter {}
interface GPUSupportedLimits extends KernelgradGpuLimits {}
interface GPUCompilationMessage extends KernelgradGpuMessage {}
interface GPUBufferBinding extends KernelgradGpuBinding {}
interface GPUComputePipeline extends KernelgradGpuPipeline {}
interface GPUBindGroupLayout extends KernelgradGpuNamed {}
interface GPUBindGroup extends KernelgradGpuNamed {}

// Of valibot's types, and of options that stop work under way.
type KernelgradBlob = KernelgradIfAbsent<KernelgradHasBlob, { readonly size: number; readonly type: string }>
type KernelgradFile = KernelgradIfAbsent<KernelgradHasFile, { readonly name: string }>
type KernelgradAbort = KernelgradIfAbsent<
  KernelgradHasAbort,
  { readonly aborted: boolean; readonly reason: unknown }
>
interface Blob extends KernelgradBlob {}
interface File extends KernelgradFile {}
interface AbortSignal extends KernelgradAbort {}
