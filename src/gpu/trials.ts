// What only the device can tell of a launch or a buffer, asked before anything is recorded with it. A launch is asked about once for
// each size of a binding below those known to do, which for most kernels is never.
import { DeviceError, ShapeError } from '../errors.ts'
import type { BufferState } from './buffers.ts'
import type { Failure, Failures } from './failures.ts'
import type { Grid, Kernel, View } from './kernel.ts'
import { bindsAll } from './launch-check.ts'
import { bindGroup, type Compiled, type Pipelines } from './pipelines.ts'
import { guarded } from './scopes.ts'

/** A launch that was found right on the host, to be recorded now or later. */
export interface Launch {
  kernel: Kernel
  compiled: Compiled
  /** Its parameters. */
  words: Uint32Array
  views: readonly View[]
  states: readonly BufferState[]
  grid: Grid
  /** Estimated, in multiply-adds. */
  work: number
  /** Of its bind group. */
  hash: number
  key: readonly number[]
  /** What it binds, kept where that is needed later: a view's buffer may be another's by then. */
  bound?: GPUBufferBinding[]
  /** Why the device refuses it, once that is known. */
  refused?: Failure
}

/** Who asks. */
interface Asking {
  readonly device: GPUDevice
  readonly failures: Failures
  readonly pipelines: Pipelines
  readonly params: GPUBuffer
}

/**
 * What a launch binds. A pooled view binds its whole buffer: batches differ in length from step to step while their pooled buffers
 * are the same, and so are then their bind groups.
 */
export const bindingsOf = ({ views, states }: Launch): GPUBufferBinding[] =>
  views.map((view, i) => {
    const { buffer, offset, size } = view
    return bindsAll(view, states[i]!) ? { buffer } : { buffer, offset, size }
  })

/** Asks about a launch with fewer bytes than its kernel is known to take; resolves when its `refused` is right. */
export function trial({ failures, pipelines, params }: Asking, launch: Launch): Promise<void> | undefined {
  const { kernel, compiled } = launch
  const bound = bindingsOf(launch)
  launch.bound = bound
  const sizes = bound.map(({ buffer, size }) => size ?? buffer.size)
  if (compiled.pipeline && sizes.every((size, i) => size >= compiled.proven[i]!)) return undefined
  return compiled.ready
    .then(() => pipelines.trial(compiled, params, bound))
    .then(refusal => {
      if (refusal === undefined) return
      const each = sizes.map((size, i) => `${size} for binding ${i + 1}`).join(', ')
      const named = `kernel ${kernel.name}, entry ${kernel.entry}`
      launch.refused = failures.place(
        new ShapeError(
          `${named}: the device refuses bindings of these bytes, ${each}: ${refusal.split('\n')[0]}`,
        ),
      )
    })
}

/** Asks about a buffer that the pool has not made; resolves when its state is right. */
export async function probe(
  { device, failures, pipelines, params }: Asking,
  buffer: GPUBuffer,
  state: BufferState,
): Promise<void> {
  const [, found] = guarded(device, () => {
    if (state.usage & GPUBufferUsage.COPY_DST) {
      const encoder = device.createCommandEncoder()
      encoder.clearBuffer(buffer, 0, 0)
      device.queue.submit([encoder.finish()])
    } else if (state.usage & GPUBufferUsage.STORAGE) {
      bindGroup(device, 'a trial', pipelines.layout(['read']), params, [{ buffer }])
    }
  })
  const error = await found
  if (!error) return
  state.missing = true
  state.failure = failures.place(new DeviceError(`a buffer cannot be used on this device: ${error.message}`))
}
