// A kernel with a parameter of every type, for tests of what goes wrong with kernels.
import type { KernelgradError } from '../../src/errors.ts'
import { defineKernel, type Kernel } from '../../src/gpu/index.ts'

export type ErrorClass = new (message: string) => KernelgradError

/** Elements it is launched with. */
export const N = 50

export const wgsl = `
const WG: u32 = 64;
struct Params { n: u32, shift: i32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn scale(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { y[i] = params.factor * x[i] + f32(params.shift); }
}
`
type Params = 'n' | 'shift' | 'factor'
export const declaration = {
  name: 'scale',
  wgsl,
  entry: 'scale',
  params: { n: 'u32', shift: 'i32', factor: 'f32' } as const,
  bindings: ['read', 'write'] as Kernel['bindings'],
}
/** The kernel, with other declarations. */
export const make = (changes: object = {}): Kernel<Params> => defineKernel({ ...declaration, ...changes })
export const scale = make()
export const values = { n: N, shift: 0, factor: 2 }
