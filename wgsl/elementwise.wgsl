// Element by element over n E; nothing past the last one is touched.
//   add       a, b        -> out    out = a + b
//   add_into  x           -> into   into += x
//   scale     x           -> y      y = factor * x, the factor a parameter
//   scale_by  x, factor   -> y      y = factor * x, the factor one f32 on the device
//   fill                  -> out    out = value
// storage.wgsl stands before this text.
// A workgroup that lies within n runs without bounds checks and loops, which halves the time on software adapters.

const WG: u32 = 256;
const PER: u32 = 4; // E per invocation; 1 on GPUs
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32, factor: f32, bits: u32 } // bits: fill's value, which may be infinite
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read> b: array<S>;
@group(0) @binding(3) var<storage, read_write> sum: array<S>;

@group(0) @binding(2) var<storage, read_write> y: array<S>;

@group(0) @binding(2) var<storage, read> factor: array<f32>;
@group(0) @binding(3) var<storage, read_write> scaled: array<S>;

@group(0) @binding(1) var<storage, read_write> filled: array<E>;

fn add_at(i: u32) { sum[i] = keep(load(x[i]) + load(b[i])); }

@compute @workgroup_size(WG)
fn add(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    add_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { add_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { add_at(i); }
  // @end
}

fn add_into_at(i: u32) { y[i] = keep(load(y[i]) + load(x[i])); }

@compute @workgroup_size(WG)
fn add_into(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    add_into_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { add_into_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { add_into_at(i); }
  // @end
}

fn scale_at(i: u32) { y[i] = keep(params.factor * load(x[i])); }

@compute @workgroup_size(WG)
fn scale(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    scale_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { scale_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { scale_at(i); }
  // @end
}

fn scale_by_at(i: u32) { scaled[i] = keep(factor[0] * load(x[i])); }

@compute @workgroup_size(WG)
fn scale_by(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    scale_by_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { scale_by_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { scale_by_at(i); }
  // @end
}

fn fill_at(i: u32) { filled[i] = E(bitcast<f32>(params.bits)); }

@compute @workgroup_size(WG)
fn fill(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    fill_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { fill_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { fill_at(i); }
  // @end
}
