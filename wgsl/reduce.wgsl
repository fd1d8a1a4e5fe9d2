// Sums in a fixed order. Values are added as a tree of eights (64 of them: a tree of 8, eight times), so that rounding errors
// grow with the depth and not with the count: 16 M float32 values keep a relative error below 1e-6.
//   partial         x[n]            -> partials[at + i]   each of 256 values; of their squares with SQUARE
//   finish_sum      partials[n]     -> out[0] = factor * sum
//   finish_norm     partials[n]     -> norm[0] = sqrt(sum), coefficient[0] = min(1, limit / (norm + 1e-6)); 1 when limit is 0
// storage.wgsl stands before this text: x of column_partial may be halves.
// Columns of x[rows, C], in blocks of rows, then over the blocks; n and C count E:
//   column_partial  x               -> partials[blocks, C]
//   column_finish   partials        -> out[C], overwritten, or added to with accumulate

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const SQUARE: u32 = 0;
const RUNS: u32 = 4 / WIDTH; // runs of 64 E that make 256 values

// @if WIDTH/4
alias E = vec4f;
fn across(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
// @else
alias E = f32;
fn across(v: E) -> f32 { return v; }
// @end

struct Params { n: u32, at: u32, factor: f32, one: f32 } // one is 1
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> coefficient: array<f32>;

// The product with one is no waste: without a product lavapipe's loop took four times as long.
fn term(i: u32) -> E {
  let v = load(x[min(i, params.n - 1u)]);
  return select(E(), select(v * params.one, v * v, SQUARE == 1u), i < params.n);
}

// The sum of 64 E, `stride` apart.
fn run(first: u32, stride: u32) -> E {
  var total = E();
  for (var j = 0u; j < 8u; j++) {
    let i = first + j * 8u * stride;
    total += ((term(i) + term(i + stride)) + (term(i + 2u * stride) + term(i + 3u * stride))) +
      ((term(i + 4u * stride) + term(i + 5u * stride)) + (term(i + 6u * stride) + term(i + 7u * stride)));
  }
  return total;
}

@compute @workgroup_size(WG)
fn partial(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let group = group_index(wid, count);
  let unit = group * WG + local;
  if (unit * 64u * RUNS >= params.n) { return; }
  // The last group's invocations stay within their own values, the others interleave theirs.
  let full = (group + 1u) * WG * 64u * RUNS <= params.n;
  let stride = select(1u, WG, full);
  let first = select(unit * 64u * RUNS, group * WG * 64u * RUNS + local, full);
  var total = E();
  for (var r = 0u; r < RUNS; r++) { total += run(first + r * 64u * stride, stride); }
  partials[params.at + unit] = across(total);
}

// All of x, 64 E at a time. One invocation's speed is no matter here and the compile time is: the inner loop's end is not a
// constant, so that no driver unrolls it.
fn whole() -> f32 {
  var total = E();
  for (var i = 0u; i < params.n; i += 64u) {
    var some = E();
    for (var j = i; j < min(i + 64u, params.n); j += 4u) {
      some += (term(j) + term(j + 1u)) + (term(j + 2u) + term(j + 3u));
    }
    total += some;
  }
  return across(total);
}

@compute @workgroup_size(1)
fn finish_sum() { out[0] = params.factor * whole(); }

@compute @workgroup_size(1)
fn finish_norm() {
  let length = sqrt(whole());
  norm[0] = length;
  coefficient[0] = select(min(1.0, params.factor / (length + 1e-6)), 1.0, params.factor == 0.0);
}

struct Columns { rows: u32, C: u32, per_block: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> columns: Columns;
@group(0) @binding(2) var<storage, read_write> sums: array<E>;

@compute @workgroup_size(WG)
fn column_partial(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let block = unit / columns.C;
  let c = unit - block * columns.C;
  let end = min((block + 1u) * columns.per_block, columns.rows);
  if (block * columns.per_block >= columns.rows) { return; }
  var total = E();
  for (var r = block * columns.per_block; r < end; r++) { total += load(x[r * columns.C + c]); }
  sums[unit] = total;
}

@compute @workgroup_size(WG)
fn column_finish(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = invocation_index(wid, count, local, WG);
  if (c >= columns.C) { return; }
  var total = E();
  for (var r = 0u; r < columns.rows; r++) { total += load(x[r * columns.C + c]); }
  if (columns.accumulate == 1u) { total += sums[c]; }
  sums[c] = total;
}
