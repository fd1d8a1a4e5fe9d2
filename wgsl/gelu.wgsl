// Exact GELU: y = x * Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016).
// erfc by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7), evaluated on |x| so that the left tail keeps its relative
// precision.
//   forward   x[n]         -> y[n]          overwrites
//   backward  x[n], dy[n]  -> dx[n]         overwrites;  dx = dy * (Phi(x) + x * phi(x))
// Elements are taken four at a time; the last group may run into the buffer's padding. A workgroup that lies within n runs
// without bounds checks and loops.

const WG: u32 = 256;
const PER: u32 = 4; // groups of four per invocation

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

// exp(-x^2 / 2)
fn gauss(v: vec4f) -> vec4f { return exp(-0.5 * v * v); }

fn normal_cdf(v: vec4f, g: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.3275911 * 0.70710678 * abs(v));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * p * g;
  return select(1.0 - tail, tail, v < vec4f());
}

fn forward_at(i: u32) {
  let v = x[i];
  y[i] = v * normal_cdf(v, gauss(v));
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group_index(wid, count) * WG * PER + local;
  if ((first - local + WG * PER) * 4u <= params.n) {
    // @unroll j in 0..PER
    forward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i * 4u < params.n; i += WG) { forward_at(i); }
  }
}

fn backward_at(i: u32) {
  let v = x[i];
  let g = gauss(v);
  dx[i] = dy[i] * (normal_cdf(v, g) + v * g * 0.39894228);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group_index(wid, count) * WG * PER + local;
  if ((first - local + WG * PER) * 4u <= params.n) {
    // @unroll j in 0..PER
    backward_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i * 4u < params.n; i += WG) { backward_at(i); }
  }
}
