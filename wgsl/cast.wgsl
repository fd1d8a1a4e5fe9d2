// Between float32 and half precision in storage (f16.wgsl), four values at a time; n counts fours.
//   to_f16   x[n] f32 -> y[n] f16   overwrites; rounds to nearest, |x| >= 65520 becomes infinity, NaN stays
//   to_f32   x[n] f16 -> y[n] f32   overwrites; exact
//   blocks   x[n] f32, places -> y   to_f16 of blocks of 64 values: block b of x goes to block places[b] of y
// f16.wgsl stands before this text. A workgroup that lies within n runs without bounds checks and loops.

const WG: u32 = 256;
const PER: u32 = 4; // fours per invocation, divides 16; 1 on GPUs

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2u>;

@group(0) @binding(1) var<storage, read> halves: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> floats: array<vec4f>;

@compute @workgroup_size(WG)
fn to_f16(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    y[first + $(j)u * WG] = pack4(x[first + $(j)u * WG]);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { y[i] = pack4(x[i]); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { y[i] = pack4(x[i]); }
  // @end
}

@compute @workgroup_size(WG)
fn to_f32(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    floats[first + $(j)u * WG] = unpack4(halves[first + $(j)u * WG]);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { floats[i] = unpack4(halves[i]); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { floats[i] = unpack4(halves[i]); }
  // @end
}

@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> placed: array<vec2u>;

// PER fours of a block each.
@compute @workgroup_size(WG)
fn blocks(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = invocation_index(wid, count, local, WG) * PER;
  if (first >= params.n) { return; }
  let to = places[first / 16u] * 16u + first % 16u;
  // @unroll j in 0..PER
  placed[to + $(j)u] = pack4(x[first + $(j)u]);
  // @end
}
