import { ConfigError, DeviceError } from '../errors.ts'
import { BindGroups } from './bind-groups.ts'
import type { Failure } from './failures.ts'
import { type Access, type Kernel, PRELUDE } from './kernel.ts'
import { checkKernel, checkText } from './kernel-check.ts'
import { guarded } from './scopes.ts'
import { compileError } from './wgsl-error.ts'
import { type WgslLine, wgslLines } from './wgsl-text.ts'

/** A kernel's pipeline and the layout its bind groups have. */
export interface Compiled {
  /** Absent until it is compiled. */
  pipeline: GPUComputePipeline | undefined
  /** Why there is none. */
  failure: Failure | undefined
  /** Resolves when there is a pipeline or a failure; never rejects. */
  ready: Promise<void>
  readonly layout: GPUBindGroupLayout
  readonly groups: BindGroups
  readonly params: readonly (readonly [name: string, type: 'u32' | 'i32' | 'f32'])[]
  readonly bindings: readonly Access[]
  /** Bytes that the device is known to accept for each binding; fewer are to be tried first. */
  readonly proven: number[]
}

/** The members that a kernel object had when it was compiled; it may be written to since. */
type Seen = Pick<Kernel, (typeof COMPARED)[number]> & { compiled: Compiled }
const COMPARED = [
  'wgsl',
  'entry',
  'prelude',
  'params',
  'bindings',
  'workgroup',
  'constants',
  'name',
] as const satisfies (keyof Kernel)[]

/**
 * Compiles kernels once per device, side by side and without blocking; the key is the kernel object, or its content for
 * equal kernels. What does not compile is not kept.
 */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #fail: (error: Error) => Failure
  readonly #byKernel = new WeakMap<Kernel, Seen>()
  readonly #byContent = new Map<string, Compiled>()
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  readonly #compiling = new Set<Promise<void>>()
  /** Small buffers to try kernels with; nothing is ever in them. */
  readonly #scratch: GPUBuffer[] = []

  /** @param fail takes why a kernel cannot be had */
  constructor(device: GPUDevice, fail: (error: Error) => Failure) {
    this.#device = device
    this.#fail = fail
  }

  /** Resolves when every kernel asked for so far is compiled or refused. */
  async ready(): Promise<void> {
    while (this.#compiling.size) await Promise.all(this.#compiling)
  }

  /** Frees the buffers of its own. */
  destroy(): void {
    for (const buffer of this.#scratch.splice(0)) buffer.destroy()
  }

  get compiling(): boolean {
    return this.#compiling.size > 0
  }

  /** Kernels that are compiled. */
  get count(): number {
    return this.#byContent.size
  }

  /** Bind groups that are kept. */
  get groups(): number {
    let sum = 0
    for (const { groups } of this.#byContent.values()) sum += groups.size
    return sum
  }

  /**
   * The kernel's entry; compiling starts with the first call.
   * @throws ConfigError for a declaration that cannot be right; DeviceError for one that the text or the device contradicts
   */
  get(kernel: Kernel): Compiled {
    const known = this.#byKernel.get(kernel)
    if (known && !known.compiled.failure && same(known, kernel)) return known.compiled
    checkKernel(kernel)
    const { name, entry, prelude, wgsl } = kernel
    const key = `${JSON.stringify([name, entry, kernel.workgroup, kernel.constants, kernel.params, kernel.bindings])}\n${prelude ?? ''}\n${wgsl}`
    let compiled = this.#byContent.get(key)
    if (!compiled) {
      compiled = this.#compile(kernel, () => this.#byContent.delete(key))
      this.#byContent.set(key, compiled)
    }
    this.#byKernel.set(kernel, { ...kernel, compiled })
    return compiled
  }

  #compile(kernel: Kernel, forget: () => void): Compiled {
    const limits = this.#device.limits
    if (kernel.bindings.length > limits.maxStorageBuffersPerShaderStage) {
      throw new DeviceError(
        `kernel ${kernel.name} binds ${kernel.bindings.length} storage buffers, this device allows ${limits.maxStorageBuffersPerShaderStage}`,
      )
    }
    const lines = textOf(kernel)
    checkText(kernel, lines)
    const site = new Error(`kernel ${kernel.name} was first launched here`)
    const compiled: Compiled = {
      pipeline: undefined,
      failure: undefined,
      ready: Promise.resolve(),
      layout: this.layout(kernel.bindings),
      groups: new BindGroups(),
      params: Object.entries(kernel.params) as [string, 'u32' | 'i32' | 'f32'][],
      bindings: [...kernel.bindings],
      proven: kernel.bindings.map(() => Number.POSITIVE_INFINITY),
    }
    const ready = this.#build(kernel, lines, compiled).then(
      pipeline => {
        compiled.pipeline = pipeline
        this.#compiling.delete(ready)
      },
      (error: Error) => {
        forget()
        site.cause = error.cause
        error.cause = site
        compiled.failure = this.#fail(error)
        this.#compiling.delete(ready)
      },
    )
    compiled.ready = ready
    this.#compiling.add(ready)
    return compiled
  }

  /** A pipeline, and in `compiled` what sizes it takes; rejects with a DeviceError in terms of the kernel's text. */
  async #build(kernel: Kernel, lines: WgslLine[], compiled: Compiled): Promise<GPUComputePipeline> {
    const device = this.#device
    const code = lines.map(({ text }) => text).join('\n')
    const refused = (messages: readonly GPUCompilationMessage[], error: Error) =>
      new DeviceError(compileError(kernel, lines, messages, error.message), { cause: error })
    // What is wrong with a module is reported here, by its kernel and line, not as an uncaptured error.
    const [module, found] = guarded(device, () => device.createShaderModule({ code, label: kernel.name }))
    if (!module) throw refused([], (await found)!)
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: `${kernel.name}.${kernel.entry}`,
        layout: device.createPipelineLayout({ bindGroupLayouts: [compiled.layout] }),
        compute: { module, entryPoint: kernel.entry },
      })
      await this.#proveSmallest(pipeline, compiled)
      return pipeline
    } catch (error) {
      const told = await found
      const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }))
      throw refused(messages, told ?? (error as Error))
    }
  }

  /** Finds out whether any size will do, as it does for an array of u32 or vec4f; then no launch has to be tried. */
  async #proveSmallest(pipeline: GPUComputePipeline, compiled: Compiled): Promise<void> {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM
    for (const size of [4, 16]) {
      const [, found] = guarded(this.#device, () => {
        while (this.#scratch.length <= compiled.bindings.length)
          this.#scratch.push(this.#device.createBuffer({ size: SLOT, usage, label: 'a trial' }))
        const [params, ...rest] = this.#scratch
        const bound = compiled.bindings.map((_, i) => ({ buffer: rest[i]!, size }))
        this.#dispatch(pipeline, compiled, params!, bound)
      })
      if (await found) continue
      compiled.proven.fill(size)
      return
    }
  }

  /** Whether a launch with these buffers is refused by the device, and why; nothing runs. */
  async trial(
    compiled: Compiled,
    params: GPUBuffer,
    bound: readonly GPUBufferBinding[],
  ): Promise<string | undefined> {
    if (!compiled.pipeline) return undefined
    const { pipeline, proven } = compiled
    const sizes = bound.map(({ buffer, size }) => size ?? buffer.size)
    if (!sizes.some((size, i) => size < proven[i]!)) return undefined
    const [, found] = guarded(this.#device, () => this.#dispatch(pipeline, compiled, params, bound))
    const error = await found
    if (error) return error.message
    for (const [i, size] of sizes.entries()) proven[i] = Math.min(proven[i]!, size)
    return undefined
  }

  #dispatch(
    pipeline: GPUComputePipeline,
    { layout }: Compiled,
    params: GPUBuffer,
    bound: readonly GPUBufferBinding[],
  ): void {
    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, bindGroup(this.#device, 'a trial', layout, params, bound), [0])
    pass.dispatchWorkgroups(1)
    pass.end()
    encoder.finish()
  }

  /** The layout of bind groups that bind so. */
  layout(bindings: readonly Access[]): GPUBindGroupLayout {
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

const same = (seen: Seen, kernel: Kernel) =>
  seen.wgsl === kernel.wgsl &&
  seen.entry === kernel.entry &&
  seen.prelude === kernel.prelude &&
  seen.params === kernel.params &&
  seen.bindings === kernel.bindings &&
  seen.workgroup === kernel.workgroup &&
  seen.constants === kernel.constants &&
  seen.name === kernel.name

/** Bytes of a launch's parameters: the alignment of a dynamic uniform offset. */
export const SLOT = 256

/** Binding 0 is the parameters, the rest are the buffers in order. */
export const bindGroup = (
  device: GPUDevice,
  label: string,
  layout: GPUBindGroupLayout,
  params: GPUBuffer,
  bound: readonly GPUBufferBinding[],
): GPUBindGroup =>
  device.createBindGroup({
    label,
    layout,
    entries: [
      { binding: 0, resource: { buffer: params, size: SLOT } },
      ...bound.map((resource, i) => ({ binding: i + 1, resource })),
    ],
  })

function textOf(kernel: Kernel): WgslLine[] {
  const source = kernel.prelude === undefined ? kernel.wgsl : `${kernel.prelude}\n${kernel.wgsl}`
  try {
    return wgslLines(source, { WG: kernel.workgroup, ...kernel.constants }, PRELUDE)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(`kernel ${kernel.name}: ${error.message}`, { cause: error })
  }
}
