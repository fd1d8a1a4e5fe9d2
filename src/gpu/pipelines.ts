import { DeviceError } from '../errors.ts'
import { type Kernel, PRELUDE } from './kernel.ts'
import { compileError } from './wgsl-error.ts'
import { wgslLines } from './wgsl-text.ts'

/** A kernel's pipeline and the layout its bind groups have. */
export interface Compiled {
  /** Absent until it is compiled. */
  pipeline: GPUComputePipeline | undefined
  layout: GPUBindGroupLayout
  groups: Map<string, GPUBindGroup>
}

/**
 * Compiles kernels once per device, side by side and without blocking; the key is the kernel object, or its content for
 * equal kernels.
 */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #byKernel = new WeakMap<Kernel, Compiled>()
  readonly #byContent = new Map<string, Compiled>()
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  readonly #compiling = new Set<Promise<void>>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Resolves when every kernel asked for so far is compiled; rejects with what a compiler says against one. */
  async ready(): Promise<void> {
    while (this.#compiling.size) await Promise.all(this.#compiling)
  }

  get compiling(): boolean {
    return this.#compiling.size > 0
  }

  /** The kernel's entry; compiling starts with the first call. */
  get(kernel: Kernel): Compiled {
    const known = this.#byKernel.get(kernel)
    if (known) return known
    const key = `${kernel.name} ${kernel.entry} ${kernel.workgroup} ${JSON.stringify(kernel.constants)}\n${kernel.prelude ?? ''}\n${kernel.wgsl}`
    let compiled = this.#byContent.get(key)
    if (!compiled) {
      compiled = this.#compile(kernel)
      this.#byContent.set(key, compiled)
    }
    this.#byKernel.set(kernel, compiled)
    return compiled
  }

  #compile(kernel: Kernel): Compiled {
    const limits = this.#device.limits
    if (kernel.bindings.length > limits.maxStorageBuffersPerShaderStage) {
      throw new DeviceError(
        `kernel ${kernel.name} binds ${kernel.bindings.length} storage buffers, this device allows ${limits.maxStorageBuffersPerShaderStage}`,
      )
    }
    const source = kernel.prelude === undefined ? kernel.wgsl : `${kernel.prelude}\n${kernel.wgsl}`
    const lines = wgslLines(source, { WG: kernel.workgroup, ...kernel.constants }, PRELUDE)
    const code = lines.map(({ text }) => text).join('\n')
    const layout = this.#layout(kernel)
    const compiled: Compiled = { pipeline: undefined, layout, groups: new Map() }
    // What is wrong with a module is reported below, by its kernel and line, not as an uncaptured error.
    this.#device.pushErrorScope('validation')
    const module = this.#device.createShaderModule({ code, label: kernel.name })
    const scope = this.#device.popErrorScope()
    const pipeline = this.#device.createComputePipelineAsync({
      label: `${kernel.name}.${kernel.entry}`,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: kernel.entry },
    })
    const done = pipeline.then(
      made => {
        compiled.pipeline = made
        this.#compiling.delete(done)
      },
      async error => {
        await scope
        const { messages } = await module.getCompilationInfo()
        throw new DeviceError(compileError(kernel, lines, messages, (error as Error).message))
      },
    )
    this.#compiling.add(done)
    return compiled
  }

  #layout({ bindings }: Kernel): GPUBindGroupLayout {
    const key = bindings.join()
    let layout = this.#layouts.get(key)
    if (!layout) {
      const visibility = 4 // GPUShaderStage.COMPUTE
      layout = this.#device.createBindGroupLayout({
        entries: [
          { binding: 0, visibility, buffer: { type: 'uniform', hasDynamicOffset: true } },
          ...bindings.map((access, i) => ({
            binding: i + 1,
            visibility,
            buffer: { type: access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
          })),
        ],
      })
      this.#layouts.set(key, layout)
    }
    return layout
  }
}
