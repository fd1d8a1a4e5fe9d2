// y = max(x, 0).
//   forward   x[n]         -> y[n]    overwrites
//   backward  y[n], dy[n]  -> dx[n]   overwrites;  dx = dy where y > 0, else 0
// storage.wgsl stands before this text. n counts E; nothing past the last one is touched.
// A workgroup that lies within n runs without bounds checks and loops, which halves the time on software adapters.

const WG: u32 = 256;
const PER: u32 = 4; // E per invocation; 1 on GPUs
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> y: array<S>;

@group(0) @binding(1) var<storage, read> y_in: array<S>;
@group(0) @binding(2) var<storage, read> dy: array<S>;
@group(0) @binding(3) var<storage, read_write> dx: array<S>;

fn forward_at(i: u32) {
  let v = load(x[i]);
  y[i] = keep(select(v, E(), v <= E())); // a NaN stays one
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    forward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { forward_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { forward_at(i); }
  // @end
}

fn backward_at(i: u32) { dx[i] = keep(select(E(), load(dy[i]), load(y_in[i]) > E())); }

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @unroll j in 0..PER
    backward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { backward_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { backward_at(i); }
  // @end
}
