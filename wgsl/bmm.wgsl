// Products of many matrices, c[z] = a[z] b[z]: c[M, N] one after the other, overwritten. Where a matrix of a and b begins follows from
// the batch's number by strides, 0 along what is repeated; how it is stepped through too, so that transposed ones need no copy:
//   a[m, k] is at m a_m + k a_k, b[k, n] at k b_k + n b_n
// An invocation takes a tile of R rows and C fours of columns; tiles past an edge read the last row or column again and store nothing
// there. With B_N4 and C_N4 four columns lie side by side: b and c are then counted in fours.

const WG: u32 = 64;
const R: u32 = 4; // rows of a tile
const C: u32 = 2; // fours of columns
const RANK: u32 = 1; // dimensions of batches
const B_N4: u32 = 1; // b_n is 1, and N and every stride of b are multiples of 4
const C_N4: u32 = 1; // N is a multiple of 4

// @if B_N4
alias B = vec4f;
// @else
alias B = f32;
// @end
// @if C_N4
alias O = vec4f;
// @else
alias O = f32;
// @end

struct Params {
  M: u32,
  N: u32,
  K: u32,
  batches: u32,
  a_m: u32,
  a_k: u32,
  b_k: u32,
  b_n: u32,
  // @unroll d in 0..RANK
  d$d: u32,
  a_step$d: u32,
  b_step$d: u32,
  // @end
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<B>;
@group(0) @binding(3) var<storage, read_write> c: array<O>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let across = (params.N + 4u * C - 1u) / (4u * C);
  let down = (params.M + R - 1u) / R;
  let unit = invocation_index(wid, count, local, WG);
  let z = unit / (across * down);
  if (z >= params.batches) { return; }
  let m0 = (unit / across % down) * R;
  let n0 = (unit % across) * C * 4u;
  var a0 = 0u;
  var b0 = 0u;
  var rest = z;
  // @unroll d in 0..RANK
  a0 += rest % params.d$d * params.a_step$d;
  b0 += rest % params.d$d * params.b_step$d;
  rest = rest / params.d$d;
  // @end
  // @unroll r in 0..R
  var at_a$r = a0 + min(m0 + $(r)u, params.M - 1u) * params.a_m;
  // @unroll g in 0..C
  var sum$(r)_$g = vec4f();
  // @end
  // @end
  // @unroll g in 0..C
  // @if B_N4
  var at_b$(g)x = (b0 + min(n0 + $(4 * g)u, params.N - 4u)) >> 2u;
  // @else
  // @unroll j in 0..4
  var at_b$(g)_$j = b0 + min(n0 + $(4 * g + j)u, params.N - 1u) * params.b_n;
  // @end
  // @end
  // @end
  for (var k = 0u; k < params.K; k++) {
    // @unroll g in 0..C
    // @if B_N4
    let row$g = b[at_b$(g)x];
    at_b$(g)x += params.b_k >> 2u;
    // @else
    let row$g = vec4f(b[at_b$(g)_0], b[at_b$(g)_1], b[at_b$(g)_2], b[at_b$(g)_3]);
    // @unroll j in 0..4
    at_b$(g)_$j += params.b_k;
    // @end
    // @end
    // @end
    // @unroll r in 0..R
    let left$r = a[at_a$r];
    at_a$r += params.a_k;
    // @unroll g in 0..C
    sum$(r)_$g = fma(vec4f(left$r), row$g, sum$(r)_$g);
    // @end
    // @end
  }
  // @unroll r in 0..R
  if (m0 + $(r)u < params.M) {
    let line = (z * params.M + m0 + $(r)u) * params.N;
    // @unroll g in 0..C
    let column$g = n0 + $(4 * g)u;
    // @if C_N4
    if (column$g < params.N) { c[(line + column$g) >> 2u] = sum$(r)_$g; }
    // @else
    // @unroll j in 0..4
    if (column$g + $(j)u < params.N) { c[line + column$g + $(j)u] = sum$(r)_$g[$j]; }
    // @end
    // @end
    // @end
  }
  // @end
}
