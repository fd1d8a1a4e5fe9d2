// Values of the middle dimension's lines of x[O, R, I] by number, indices[O, K, I].
//   forward   x, indices   -> y[O, K, I]    y = x[o, indices[o, k, i], i]; NaN where there is no such place. Overwrites
//   fours     the same, four neighbouring values an invocation: for GPUs, where O K I is a multiple of 4
//   backward  dy, indices  -> dx[O, R, I]   adds each dy to where its value came from, in the order of k; dx is zeroed before
//   backward_each  the same, an invocation for each value of dx, which it overwrites: for GPUs, where few lines would leave most lanes idle
// Source: torch.gather.

const WG: u32 = 64;

struct Params { n: u32, R: u32, I: u32, K: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// n is O K I.
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let i = unit % params.I;
  let o = unit / params.I / params.K;
  let r = indices[unit];
  let there = r < params.R;
  let value = x[(o * params.R + select(0u, r, there)) * params.I + i];
  y[unit] = select(bitcast<f32>(0x7fc00000u | (params.n & 0u)), value, there);
}

@group(0) @binding(2) var<storage, read> indices4: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> y4: array<vec4f>;

fn value_of(unit: u32, r: u32) -> f32 {
  let line = unit / params.I;
  let there = r < params.R;
  let value = x[(line / params.K * params.R + select(0u, r, there)) * params.I + unit - line * params.I];
  return select(bitcast<f32>(0x7fc00000u | (params.n & 0u)), value, there);
}

@compute @workgroup_size(WG)
fn fours(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = invocation_index(wid, count, local, WG);
  if (at * 4u >= params.n) { return; }
  let r = indices4[at];
  y4[at] = vec4f(value_of(at * 4u, r.x), value_of(at * 4u + 1u, r.y), value_of(at * 4u + 2u, r.z), value_of(at * 4u + 3u, r.w));
}

// n is O I.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let o = unit / params.I;
  let i = unit - o * params.I;
  for (var k = 0u; k < params.K; k++) {
    let at = (o * params.K + k) * params.I + i;
    let r = indices[at];
    if (r < params.R) { y[(o * params.R + r) * params.I + i] += x[at]; }
  }
}

// n is O R I.
@compute @workgroup_size(WG)
fn backward_each(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let line = unit / params.I;
  let o = line / params.R;
  let first = o * params.K * params.I + unit - line * params.I;
  var total = 0.0;
  for (var k = 0u; k < params.K; k++) {
    let at = first + k * params.I;
    if (indices[at] == line - o * params.R) { total += x[at]; }
  }
  y[unit] = total;
}
