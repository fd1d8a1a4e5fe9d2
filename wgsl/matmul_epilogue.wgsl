// What the forms of the matrix product do with a finished sum. In this order, each part only where it is asked for:
//   v = sum + bias[n];  pre[m,n] = v;  v = GELU(v) or ReLU(v);  v = dropout(v);  v += residual[m,n];  v += c[m,n];  c[m,n] = v
// The forms add the bias (`bias_of`), which they load once for all rows; `store` does the rest.
// With `splits` > 1 the sums of part z of K go to c[z,M,N] as they are (scratch) and matmul_sum.wgsl does the rest.
// The mask is that of dropout.wgsl over the M N elements of c, so its backward pass draws it again.
// With C_16, c, residual and pre are halves; bias is float32. f16.wgsl, normal_cdf.wgsl and philox.wgsl stand before this text. Constants are 0 or 1 and drop the lines not needed.

const C_4: u32 = 1; // c, residual, pre and bias as vec4f: N is a multiple of 4
const C_1: u32 = 0; // as f32
const C_16: u32 = 0; // with C_4: as halves
const BIAS: u32 = 0;
const RESIDUAL: u32 = 0;
const ACCUMULATE: u32 = 0; // 1: where params.accumulate is 1. What is not compiled in costs a software adapter nothing
const PRE: u32 = 0;
const GELU: u32 = 0;
const RELU: u32 = 0;
const DROPOUT: u32 = 0;
const RANK: u32 = 0; // of many products at once: dimensions of batches, stepped through as in bmm.wgsl

// @if C_16
alias C4 = vec2u;
fn load_c(v: C4) -> vec4f { return unpack4(v); }
fn keep_c(v: vec4f) -> C4 { return pack4(v); }
// @else
alias C4 = vec4f;
fn load_c(v: C4) -> vec4f { return v; }
fn keep_c(v: vec4f) -> C4 { return v; }
// @end

struct Params {
  M: u32, N: u32, K: u32, splits: u32,
  accumulate: u32, // 0 or 1
  threshold: u32, scale: f32, seed: u32, layer: u32, step: u32, // dropout
  // @if RANK
  batches: u32,
  // @unroll d in 0..RANK
  d$d: u32, a_step$d: u32, b_step$d: u32,
  // @end
  // @end
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> c4: array<C4>;
@group(0) @binding(3) var<storage, read_write> c1: array<f32>;
@group(0) @binding(4) var<storage, read> bias4: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias1: array<f32>;
@group(0) @binding(5) var<storage, read> residual4: array<C4>;
@group(0) @binding(5) var<storage, read> residual1: array<f32>;
@group(0) @binding(6) var<storage, read_write> pre4: array<C4>;
@group(0) @binding(6) var<storage, read_write> pre1: array<f32>;

// The bias of columns n … n + 3, n a multiple of 4; anything past an edge.
fn bias_of(n: u32) -> vec4f {
  // @if C_4
  return bias4[min(n, params.N - 4u) >> 2u];
  // @end
  // @if C_1
  let last = params.N - 1u;
  return vec4f(bias1[min(n, last)], bias1[min(n + 1u, last)], bias1[min(n + 2u, last)], bias1[min(n + 3u, last)]);
  // @end
}

// The sums of row m, columns n … n + 3, n a multiple of 4, bias included; nothing happens past an edge.
fn store(sums: vec4f, z: u32, m: u32, n: u32) {
  let N = params.N;
  if (m < params.M && n < N) {
    let first = (z * params.M + m) * N + n;
    var v = sums;
    // @if PRE
    let before = v;
    // @end
    // @if GELU
    v *= normal_cdf(v, gauss(v));
    // @end
    // @if RELU
    v = select(v, vec4f(), v <= vec4f()); // a NaN stays one
    // @end
    // @if C_4
    let i = first >> 2u;
    // @if PRE
    pre4[i] = keep_c(before);
    // @end
    // @if DROPOUT
    let words = philox4x32(vec4u(i, 0u, params.step, 0u), vec2u(params.seed, params.layer));
    v = select(vec4f(), v * params.scale, words >= vec4u(params.threshold));
    // @end
    // @if RESIDUAL
    v += load_c(residual4[i]);
    // @end
    // @if ACCUMULATE
    if (params.accumulate == 1u) { v += load_c(c4[i]); }
    // @end
    c4[i] = keep_c(v);
    // @end
    // @if C_1
    // @unroll j in 0..4
    if (n + $(j)u < N) {
      let i = first + $(j)u;
      var y = v[$j];
      // @if PRE
      pre1[i] = before[$j];
      // @end
      // @if DROPOUT
      let words = philox4x32(vec4u(i >> 2u, 0u, params.step, 0u), vec2u(params.seed, params.layer));
      y = select(0.0, y * params.scale, words[i & 3u] >= params.threshold);
      // @end
      // @if RESIDUAL
      y += residual1[i];
      // @end
      // @if ACCUMULATE
      if (params.accumulate == 1u) { y += c1[i]; }
      // @end
      c1[i] = y;
    }
    // @end
    // @end
  }
}
