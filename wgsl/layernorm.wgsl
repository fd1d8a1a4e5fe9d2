// Layer normalisation of each row (Ba, Kiros and Hinton 2016), with the residual sum before it. H counts E.
//   forward   x[rows, H] (+ residual), weight[H], bias[H] -> y, mean[rows], rstd[rows] (, sum = x + residual)   overwrites
//             y = n * weight + bias, n = (sum - mean) * rstd, rstd = 1 / sqrt(variance + eps)
//   backward  dy, sum, weight, mean, rstd -> dx   overwrites
//             dx = rstd * (g - mean(g) - n * mean(g * n)), g = dy * weight
//   columns   dy, sum, mean, rstd -> dweights, dbiases [blocks, H]   overwrites
//             sums of dy * n and of dy over each block of rows; reduce.wgsl adds the blocks up
// Mean and variance are two passes, of the distances to the row's first element: a row of equal values, and so a row of
// one, has variance 0 exactly, whatever its size beside eps. The second pass also gives what the first sum lost to rounding.

const WG: u32 = 64;
const RESIDUAL: u32 = 1;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @unroll one in 0..WIDTH/4
alias E = vec4f;
fn across(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn front(v: E) -> f32 { return v.x; }
// @end
// @unroll one in WIDTH/4..1
alias E = f32;
fn across(v: E) -> f32 { return v; }
fn front(v: E) -> f32 { return v; }
// @end

struct Params { rows: u32, H: u32, eps: f32, per_block: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> weight: array<E>;
@group(0) @binding(3) var<storage, read> bias: array<E>;
@group(0) @binding(4) var<storage, read_write> y: array<E>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

// With RESIDUAL the first pass adds, and stores what the later ones read.
// @unroll one in 0..RESIDUAL
@group(0) @binding(7) var<storage, read> residual: array<E>;
@group(0) @binding(8) var<storage, read_write> sum: array<E>;
fn take(i: u32) -> E {
  let v = x[i] + residual[i];
  sum[i] = v;
  return v;
}
fn taken(i: u32) -> E { return sum[i]; }
// @end
// @unroll one in RESIDUAL..1
fn take(i: u32) -> E { return x[i]; }
fn taken(i: u32) -> E { return x[i]; }
// @end

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.H;
  let end = first + params.H;
  let size = f32(params.H * WIDTH);
  let shift = front(take(first));
  var total = E();
  for (var i = first; i < end; i++) { total += take(i) - shift; }
  let rough = across(total) / size;
  var squares = E();
  var lost = E();
  for (var i = first; i < end; i++) {
    let v = (taken(i) - shift) - rough;
    squares += v * v;
    lost += v;
  }
  let center = rough + across(lost) / size;
  let inverse = 1.0 / sqrt(across(squares) / size + params.eps);
  for (var i = first; i < end; i++) {
    let v = (taken(i) - shift) - center;
    y[i] = v * inverse * weight[i - first] + bias[i - first];
  }
  mean[row] = shift + center;
  rstd[row] = inverse;
}

@group(0) @binding(1) var<storage, read> dy: array<E>;
@group(0) @binding(2) var<storage, read> sum_in: array<E>;
@group(0) @binding(3) var<storage, read> mean_in: array<f32>;
@group(0) @binding(4) var<storage, read> rstd_in: array<f32>;
@group(0) @binding(5) var<storage, read> weight_in: array<E>;
@group(0) @binding(6) var<storage, read_write> dx: array<E>;

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.H;
  let end = first + params.H;
  let size = f32(params.H * WIDTH);
  let center = mean_in[row];
  let inverse = rstd_in[row];
  var total = E();
  var along = E();
  for (var i = first; i < end; i++) {
    let g = dy[i] * weight_in[i - first];
    total += g;
    along += g * ((sum_in[i] - center) * inverse);
  }
  let g_mean = across(total) / size;
  let gn_mean = across(along) / size;
  for (var i = first; i < end; i++) {
    let g = dy[i] * weight_in[i - first];
    dx[i] = inverse * (g - g_mean - (sum_in[i] - center) * inverse * gn_mean);
  }
}

@group(0) @binding(5) var<storage, read_write> dweights: array<E>;
@group(0) @binding(6) var<storage, read_write> dbiases: array<E>;

@compute @workgroup_size(WG)
fn columns(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let block = unit / params.H;
  let c = unit - block * params.H;
  let end = min((block + 1u) * params.per_block, params.rows);
  if (block * params.per_block >= params.rows) { return; }
  var dweight = E();
  var dbias = E();
  for (var row = block * params.per_block; row < end; row++) {
    let d = dy[row * params.H + c];
    dweight += d * ((sum_in[row * params.H + c] - mean_in[row]) * rstd_in[row]);
    dbias += d;
  }
  dweights[unit] = dweight;
  dbiases[unit] = dbias;
}
