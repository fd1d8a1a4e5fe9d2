// Exact GELU: y = x * Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016).
//   forward   x[n]         -> y[n]          overwrites
//   backward  x[n], dy[n]  -> dx[n]         overwrites;  dx = dy * (Phi(x) + x * phi(x))
// normal_cdf.wgsl and storage.wgsl stand before this text. Elements are taken four at a time; the last group may run into the buffer's
// padding. A workgroup that lies within n runs without bounds checks and loops.

const WG: u32 = 256;
const PER: u32 = 4; // groups of four per invocation; 1 on GPUs

alias E = vec4f;

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> y: array<S>;

@group(0) @binding(2) var<storage, read> dy: array<S>;
@group(0) @binding(3) var<storage, read_write> dx: array<S>;

fn forward_at(i: u32) {
  let v = load(x[i]);
  y[i] = keep(v * normal_cdf(v, gauss(v)));
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if ((first - local + WG * PER) * 4u <= params.n) {
    // @unroll j in 0..PER
    forward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i * 4u < params.n; i += WG) { forward_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i * 4u < params.n) { forward_at(i); }
  // @end
}

fn backward_at(i: u32) {
  let v = load(x[i]);
  let g = gauss(v);
  dx[i] = keep(load(dy[i]) * (normal_cdf(v, g) + v * g * 0.39894228));
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if ((first - local + WG * PER) * 4u <= params.n) {
    // @unroll j in 0..PER
    backward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i * 4u < params.n; i += WG) { backward_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i * 4u < params.n) { backward_at(i); }
  // @end
}
