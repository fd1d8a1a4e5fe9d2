// SwiGLU (Shazeer 2020, https://arxiv.org/abs/2002.05202): out = silu(gate) * up, silu(g) = g / (1 + exp(-g)), in one pass.
//   forward   gate[n], up[n]         -> out[n]             overwrites
//   backward  gate[n], up[n], dy[n]  -> dgate[n], dup[n]   overwrites
// STORAGE_WGSL stands before this text: S is an element in storage, E in registers, and n counts E. Where the arrays are
// multiples of four, E is vec4f, and S may be four halves.
export const wgsl = /* wgsl */ `
const WG: u32 = 64;
const WIDTH: u32 = 4;
// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<S>;
@group(0) @binding(2) var<storage, read> up: array<S>;
@group(0) @binding(3) var<storage, read_write> out: array<S>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.n) { return; }
  let g = load(gate[i]);
  out[i] = keep(g / (1.0 + exp(-g)) * load(up[i]));
}

@group(0) @binding(3) var<storage, read> dy: array<S>;
@group(0) @binding(4) var<storage, read_write> dgate: array<S>;
@group(0) @binding(5) var<storage, read_write> dup: array<S>;

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.n) { return; }
  let g = load(gate[i]);
  let d = load(dy[i]);
  let s = 1.0 / (1.0 + exp(-g));
  dgate[i] = keep(d * load(up[i]) * s * (1.0 + g * (1.0 - s)));
  dup[i] = keep(d * g * s);
}
`
