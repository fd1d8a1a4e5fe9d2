// A device that computes nothing and holds no memory: what a program records on it is seen, and takes no adapter, driver or time. Values read
// from it are zeros.
import { globals } from 'webgpu'
import { Gpu } from '../../src/gpu/index.ts'

/** A dispatch as the device is given it. */
interface Dispatch {
  /** Label of its pipeline: 'layernorm.forward'. */
  pipeline: string
  groups: [x: number, y: number, z: number]
}

/** What the device was given. */
export interface Seen {
  /** Since it was last emptied. */
  dispatches: Dispatch[]
  /** Dispatches of each submit, since it was last emptied. */
  submits: number[]
  /** Texts of all modules, by label. */
  modules: { label: string; code: string }[]
}

/** What the device offers. */
export interface Offered {
  /** Whose forms of kernels are taken: 'hardware' unless given. */
  forms?: string
  features?: string[]
  /** Sizes of its subgroups. */
  subgroups?: { least: number; most: number }
}

/** WebGPU's default limits, as far as the library asks for any, and what a card allows for bindings. */
const LIMITS = {
  maxBufferSize: 2 ** 31,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupsPerDimension: 65535,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
}

const buffer = ({ size, usage }: GPUBufferDescriptor) => ({
  size,
  usage,
  mapState: 'unmapped',
  destroy() {},
  mapAsync: async () => {},
  getMappedRange: (_offset: number, bytes: number) => new ArrayBuffer(bytes),
  unmap() {},
})

/** What was recorded, and finished. */
interface Commands {
  dispatches: Dispatch[]
}

function encoder() {
  const dispatches: Dispatch[] = []
  return {
    beginComputePass() {
      let pipeline = ''
      return {
        setPipeline(given: { label: string }) {
          pipeline = given.label
        },
        setBindGroup() {},
        dispatchWorkgroups(x: number, y = 1, z = 1) {
          dispatches.push({ pipeline, groups: [x, y, z] })
        },
        end() {},
      }
    },
    copyBufferToBuffer() {},
    clearBuffer() {},
    finish: (): Commands => ({ dispatches }),
  }
}

/** As much of WebGPU's device as `Gpu` calls. */
const recordingDevice = (features: ReadonlySet<string>, seen: Seen) => ({
  features,
  limits: LIMITS,
  lost: new Promise<never>(() => {}),
  queue: {
    writeBuffer() {},
    submit(commands: Commands[]) {
      const dispatches = commands.flatMap(({ dispatches }) => dispatches)
      seen.dispatches.push(...dispatches)
      seen.submits.push(dispatches.length)
    },
    onSubmittedWorkDone: async () => {},
  },
  addEventListener() {},
  removeEventListener() {},
  destroy() {},
  pushErrorScope() {},
  popErrorScope: async () => null,
  createBuffer: buffer,
  createBindGroupLayout: () => ({}),
  createPipelineLayout: () => ({}),
  createBindGroup: () => ({}),
  createShaderModule({ code, label = '' }: GPUShaderModuleDescriptor) {
    seen.modules.push({ label, code })
    return { getCompilationInfo: async () => ({ messages: [] }) }
  },
  createComputePipelineAsync: async ({ label }: GPUComputePipelineDescriptor) => ({ label }),
  createCommandEncoder: encoder,
})

/** Opens one. */
export function openRecordingGpu({ forms = 'hardware', features = [], subgroups }: Offered = {}) {
  Object.assign(globalThis, globals)
  const seen: Seen = { dispatches: [], submits: [], modules: [] }
  const all = new Set([...features, ...(subgroups ? ['subgroups'] : [])])
  const device = recordingDevice(all, seen) as unknown as GPUDevice
  const info = {
    vendor: 'none',
    architecture: '',
    device: '',
    description: 'a device that records',
    isFallbackAdapter: false,
    subgroupMinSize: subgroups?.least ?? 4,
    subgroupMaxSize: subgroups?.most ?? 128,
  }
  const adapter = { info, limits: LIMITS, features: all } as unknown as GPUAdapter
  const gpu = new Gpu(
    device,
    { adapter, kind: 'hardware', line: 'adapter: a device that records' },
    { forms },
  )
  return { gpu, seen }
}
