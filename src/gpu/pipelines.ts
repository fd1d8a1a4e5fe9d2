import { DeviceError } from '../errors.ts'
import { type Kernel, PRELUDE } from './kernel.ts'
import { wgslText } from './wgsl-text.ts'

/** A compiled kernel and the layout its bind groups have. */
export interface Compiled {
  pipeline: GPUComputePipeline
  layout: GPUBindGroupLayout
  groups: Map<string, GPUBindGroup>
}

/** Compiles kernels once per device; the key is the kernel object, or its content for equal kernels. */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #byKernel = new WeakMap<Kernel, Compiled>()
  readonly #byContent = new Map<string, Compiled>()
  readonly #layouts = new Map<string, GPUBindGroupLayout>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  get(kernel: Kernel): Compiled {
    const known = this.#byKernel.get(kernel)
    if (known) return known
    const key = `${kernel.name} ${kernel.entry} ${kernel.workgroup} ${JSON.stringify(kernel.constants)}\n${kernel.wgsl}`
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
    const code = wgslText(kernel.wgsl, { WG: kernel.workgroup, ...kernel.constants }, PRELUDE)
    const layout = this.#layout(kernel)
    const pipeline = this.#device.createComputePipeline({
      label: `${kernel.name}.${kernel.entry}`,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: {
        module: this.#device.createShaderModule({ code, label: kernel.name }),
        entryPoint: kernel.entry,
      },
    })
    return { pipeline, layout, groups: new Map() }
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
