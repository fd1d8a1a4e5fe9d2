import { checkKernel } from './kernel-check.ts'
import type { Constants } from './wgsl-text.ts'

/** A range of a storage buffer, in bytes. `offset` is a multiple of 256, as WebGPU wants for a binding. */
export interface View {
  /** The buffer. */
  buffer: GPUBuffer
  /** First byte. */
  offset: number
  /** Number of bytes. */
  size: number
  /** The view has the buffer to itself, and binds all of it: see the recorder. */
  whole?: boolean
}

/** How a kernel uses a storage binding. The same buffer cannot be `read` and `write` in one launch. */
export type Access = 'read' | 'write'

/**
 * One entry point of a WGSL file. Binding 0 is `var<uniform> params: Params`, a struct of 4-byte scalars in the order of
 * `params`; bindings 1… are storage buffers in the order of `bindings` (`write` is `read_write` in WGSL).
 */
export interface Kernel<P extends string = string> {
  /** What error messages call it. */
  name: string
  /** The text, which may hold several entry points. */
  wgsl: string
  /** WGSL that stands before `wgsl`, such as `STORAGE_WGSL`. Lines in error messages count from the start of `wgsl`. */
  prelude?: string | undefined
  /** Name of the function to run. */
  entry: string
  /** Members of `Params`, in order, and their types. */
  params: Record<P, 'u32' | 'i32' | 'f32'>
  /** How each storage binding is used, in order. */
  bindings: Access[]
  /** Invocations per workgroup; the file's `const WG: u32` is set to it. */
  workgroup: number
  /** Values for `const` lines of the text. */
  constants: Constants
}

/**
 * Declares a kernel; `workgroup` is 64 and no constants are set unless given.
 *
 * @example
 * ```ts
 * import { defineKernel } from 'kernelgrad/gpu'
 *
 * const double = defineKernel({
 *   name: 'double',
 *   entry: 'main',
 *   params: { n: 'u32' },
 *   bindings: ['read', 'write'],
 *   wgsl: `
 * const WG: u32 = 64;
 * struct Params { n: u32 }
 * @group(0) @binding(0) var<uniform> params: Params;
 * @group(0) @binding(1) var<storage, read> x: array<f32>;
 * @group(0) @binding(2) var<storage, read_write> y: array<f32>;
 * @compute @workgroup_size(WG)
 * fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
 *   let i = invocation_index(wid, count, local, WG);
 *   if (i < params.n) { y[i] = 2.0 * x[i]; }
 * }`,
 * })
 * const [x, y] = [gpu.from(Float32Array.of(1, 2, 3)), gpu.acquire(12)]
 * gpu.launch(double, { n: 3 }, [x, y], 1)
 * console.log(await gpu.readFloats({ ...y, size: 12 })) // 2, 4, 6
 * gpu.release(x)
 * gpu.release(y)
 * ```
 *
 * @throws ConfigError that names the kernel and the key for what no kernel can be; its text is looked at by the first launch
 */
export function defineKernel<P extends string>(
  kernel: Omit<Kernel<P>, 'workgroup' | 'constants'> & { workgroup?: number; constants?: Constants },
): Kernel<P> {
  const made = { workgroup: 64, constants: {}, ...kernel }
  checkKernel(made)
  return made as Kernel<P>
}

/** The same kernel with constants set, made once per set of values. */
export function withConstants<P extends string>(kernel: Kernel<P>, constants: Constants): Kernel<P> {
  return { ...kernel, constants: { ...kernel.constants, ...constants } }
}

/** Workgroup counts per dimension. */
export type Grid = [x: number, y: number, z: number]

/**
 * Prepended to every kernel. A launch of more workgroups than one dimension takes is folded over x and y; `group_index`
 * unfolds it, and `invocation_index` is the flat index of an invocation over the whole launch (it may run past the
 * end: kernels check their bounds).
 */
export const PRELUDE = `
fn group_index(id: vec3u, count: vec3u) -> u32 { return id.y * count.x + id.x; }
fn invocation_index(id: vec3u, count: vec3u, local: u32, size: u32) -> u32 { return group_index(id, count) * size + local; }
`

/** Folds `groups` workgroups into a grid whose dimensions do not pass `limit`. */
export function foldGrid(groups: number, limit = 65535): Grid {
  if (groups <= limit) return [Math.max(groups, 1), 1, 1]
  const y = Math.ceil(groups / limit)
  return [Math.ceil(groups / y), y, 1]
}
