// What can be wrong with a launch or a copy, and is known on the host: told at the call, before anything is recorded.
import { ConfigError, KernelgradError, ShapeError } from '../errors.ts'
import { type BufferState, type Buffers, told } from './buffers.ts'
import { foldGrid, type Grid, type Kernel, type View } from './kernel.ts'

function refuse(kernel: string, what: string): never {
  throw new ShapeError(`kernel ${kernel}: ${what}`)
}

/** Memory for the parameters of launches, seen both ways. */
export class ParamWords {
  readonly uints: Uint32Array<ArrayBuffer>
  readonly floats: Float32Array<ArrayBuffer>

  constructor(words: number) {
    this.uints = new Uint32Array(words)
    this.floats = new Float32Array(this.uints.buffer)
  }
}

/** Checks a launch's parameters and writes them from word `at` on, in the order of the kernel's. */
export function writeParams(
  kernel: Kernel,
  declared: readonly (readonly [name: string, type: 'u32' | 'i32' | 'f32'])[],
  params: Record<string, number>,
  { uints, floats }: ParamWords,
  at: number,
): void {
  if (typeof params !== 'object' || params === null)
    refuse(kernel.name, `params are ${told(params)}, expected an object`)
  for (let i = 0; i < declared.length; i++) {
    const [name, type] = declared[i]!
    const value = params[name]!
    if (typeof value !== 'number') refuse(kernel.name, badParam(name, type, value))
    if (type === 'f32') {
      floats[at + i] = value
      // WGSL may take it that no float32 is infinite: compilers drop what tells one from a number.
      if (!Number.isFinite(floats[at + i])) refuse(kernel.name, badParam(name, type, value))
    } else {
      if ((type === 'u32' ? value >>> 0 : value | 0) !== value)
        refuse(kernel.name, badParam(name, type, value))
      uints[at + i] = value
    }
  }
  let count = 0
  for (const _ in params) count++
  if (count > declared.length) {
    const names = declared.map(([name]) => name)
    const extra = Object.keys(params).find(name => !names.includes(name))
    refuse(kernel.name, `params.${extra} is none of its parameters; expected ${names.join(', ') || 'none'}`)
  }
}

function badParam(name: string, type: string, value: unknown): string {
  if (value === undefined) return `no value for params.${name}`
  const expected = {
    u32: 'a whole number from 0 to 4294967295',
    i32: 'a whole number from -2147483648 to 2147483647',
    f32: 'a finite number that float32 holds',
  }[type]
  return `params.${name} is ${told(value)}, expected ${expected} (${type})`
}

/** Checks how many workgroups are wanted, and folds them over dimensions. */
export function checkGrid({ name: kernel }: Kernel, grid: Grid | number, limit: number): Grid {
  if (typeof grid === 'number') {
    if (!Number.isInteger(grid) || grid < 0)
      refuse(kernel, `a grid of ${grid} workgroups, expected a whole number, such as Math.ceil(n / 64)`)
    if (grid > limit * limit)
      refuse(kernel, `a grid of ${grid} workgroups, this device takes at most ${limit * limit} in a launch`)
    return foldGrid(grid, limit)
  }
  if (!Array.isArray(grid) || grid.length !== 3)
    refuse(kernel, `the grid is ${told(grid)}, expected a number of workgroups or [x, y, z]`)
  for (const groups of grid)
    if (!Number.isInteger(groups) || groups < 0 || groups > limit)
      refuse(kernel, `a grid of [${grid.join(', ')}] workgroups, expected whole numbers from 0 to ${limit}`)
  return grid
}

/** Whether all of the buffer is bound: pooled views, so that batches of different lengths share bind groups. */
export const bindsAll = ({ offset, size, whole }: View, { asked }: BufferState): boolean =>
  whole === true && offset === 0 && size === asked

/** Checks the views that a kernel is to be bound to, each by itself and beside the others. */
export function checkViews(
  { name: kernel, entry, bindings }: Kernel,
  views: readonly View[],
  states: readonly BufferState[],
  limits: GPUSupportedLimits,
): void {
  const align = limits.minStorageBufferOffsetAlignment
  const most = limits.maxStorageBufferBindingSize
  for (const [i, view] of views.entries()) {
    const state = states[i]!
    const fail = (what: string): never => {
      throw new ShapeError(`kernel ${kernel}, entry ${entry}: binding ${i + 1} (${bindings[i]}) ${what}`)
    }
    if (!(state.usage & GPUBufferUsage.STORAGE))
      fail(`has a buffer of usage ${usageOf(state.usage)}, expected STORAGE among it`)
    if (bindsAll(view, state)) continue
    const { offset, size } = view
    if (!Number.isInteger(offset) || offset < 0 || offset % align)
      fail(`starts at byte ${told(offset)}, expected a multiple of ${align}`)
    if (!Number.isInteger(size) || size <= 0 || size % 4)
      fail(`has ${told(size)} bytes, expected a multiple of 4, at least 4`)
    if (offset + size > state.size) fail(`ends at byte ${offset + size} of a buffer that has ${state.size}`)
    if (size > most) fail(`has ${size} bytes, this device binds at most ${most} at once`)
  }
  checkAliases(kernel, bindings, views, states)
}

/** WebGPU refuses a buffer that one launch both reads and writes, or writes through two bindings that overlap. */
function checkAliases(
  kernel: string,
  bindings: Kernel['bindings'],
  views: readonly View[],
  states: readonly BufferState[],
): void {
  const range = (i: number) => {
    const { offset, size } = views[i]!
    return bindsAll(views[i]!, states[i]!) ? [0, states[i]!.size] : [offset, offset + size]
  }
  for (let j = 1; j < views.length; j++) {
    for (let i = 0; i < j; i++) {
      if (states[i] !== states[j]) continue
      const both = `kernel ${kernel}: bindings ${i + 1} and ${j + 1} are one buffer`
      if (bindings[i] !== bindings[j]) throw new ShapeError(`${both}, once to read and once to write`)
      const [[a, b], [c, d]] = [range(i), range(j)] as [[number, number], [number, number]]
      if (bindings[i] === 'write' && a < d && c < b)
        throw new ShapeError(`${both}, and both write bytes ${Math.max(a, c)} to ${Math.min(b, d)} of it`)
    }
  }
}

/** The state of a view's buffer, where the view can be one. */
export function stateOf(buffers: Buffers, what: string, view: View): BufferState {
  const at = (error: Error) => new KernelgradError(`${what}: ${error.message}`, { cause: error })
  if (typeof view !== 'object' || view === null || view.buffer === undefined) {
    const tensor = typeof view === 'object' && view !== null && 'view' in view
    throw new ShapeError(
      `${what}: expected a view of a buffer, got ${told(view)}${tensor ? '; pass its .view' : ''}`,
    )
  }
  let state: BufferState
  try {
    state = buffers.of(view.buffer)
  } catch (error) {
    if (error instanceof KernelgradError) throw at(error)
    throw error
  }
  if (state.gone) throw new KernelgradError(`${what}: the buffer was ${state.gone}`)
  return state
}

/** Checks a stretch of a buffer that is copied, cleared or written. */
export function checkRange(
  what: string,
  { size: all, usage: has }: BufferState,
  { offset, size }: { offset: number; size: number },
  usage: 'COPY_SRC' | 'COPY_DST',
): void {
  const fail = (problem: string): never => {
    throw new ShapeError(`${what}: ${problem}`)
  }
  if (!Number.isInteger(offset) || offset < 0 || offset % 4)
    fail(`starts at byte ${told(offset)}, expected a multiple of 4`)
  if (!Number.isInteger(size) || size < 0 || size % 4)
    fail(`has ${told(size)} bytes, expected a multiple of 4`)
  if (offset + size > all) fail(`bytes ${offset} to ${offset + size} of a buffer that has ${all}`)
  if (!(has & GPUBufferUsage[usage])) fail(`a buffer of usage ${usageOf(has)}, expected ${usage} among it`)
}

/** A submit that names a mapped buffer is refused as a whole. */
export function checkUnmapped(what: string, { mapState }: GPUBuffer): void {
  if (mapState === 'unmapped') return
  throw new ShapeError(
    `${what}: the buffer is ${mapState === 'mapped' ? 'mapped' : 'being mapped'}; unmap() it first`,
  )
}

const USAGES = [
  'MAP_READ',
  'MAP_WRITE',
  'COPY_SRC',
  'COPY_DST',
  'INDEX',
  'VERTEX',
  'UNIFORM',
  'STORAGE',
] as const
const usageOf = (usage: number): string =>
  USAGES.filter(name => usage & GPUBufferUsage[name]).join(' | ') || 'none of these'

/** Names of options that are none of those there are. */
export function checkOptions(what: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new ConfigError(`${what}: options are ${told(options)}, expected an object`)
  const unknown = Object.keys(options).find(key => !known.includes(key))
  if (unknown !== undefined)
    throw new ConfigError(`${what}: unknown option '${unknown}'; expected ${known.join(', ')}`)
}
