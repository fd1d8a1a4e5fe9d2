// Sums for GPUs, in a fixed order: neighbouring invocations read neighbouring E, and a workgroup adds up what they have.
//   part         x0[n0], x1[n1] …  -> partials[at + i]   of each 256 RUN E of them, one after the other; with SQUARE of their squares.
//                Those of x$k are partials from first$k on, so that one launch takes INPUTS of them
//   finish_sum   x[n]              -> out[0] = factor * sum                     by one workgroup
//   finish_norm  x[n]              -> norm[0] = sqrt(sum), coefficient[0] = min(1, limit / (norm + 1e-6)); 1 when limit is 0
//   columns      x[rows, C]        -> sums[blocks, C]   over each block of per_block rows; overwritten, or added to with accumulate
// group_sum.wgsl, storage.wgsl and column_sum.wgsl stand before this text: x of columns may be halves. n and C count E.

const WG: u32 = 256;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const SQUARE: u32 = 0;
const INPUTS: u32 = 1; // 7 and the result are the 8 storage buffers that WebGPU's default limits allow
const RUN: u32 = 16u / WIDTH;

// @if WIDTH/4
alias E = vec4f;
fn across(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
// @else
alias E = f32;
fn across(v: E) -> f32 { return v; }
// @end

struct Parts {
  at: u32,
  // @unroll k in 0..INPUTS
  n$k: u32, first$k: u32,
  // @end
}
@group(0) @binding(0) var<uniform> parts: Parts;
// @unroll k in 0..INPUTS
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<E>;
// @end
@group(0) @binding($(INPUTS + 1)) var<storage, read_write> partials: array<f32>;

fn term(v: E, counts: bool) -> E { return select(E(), select(v, v * v, SQUARE == 1u), counts); }

// @unroll k in 0..INPUTS
fn part$k(group: u32, local: u32) -> E {
  var total = E();
  for (var i = group * WG * RUN + local; i < (group + 1u) * WG * RUN; i += 4u * WG) {
    // @unroll j in 0..4
    let v$j = term(x$k[min(i + $(j)u * WG, parts.n$k - 1u)], i + $(j)u * WG < parts.n$k);
    // @end
    total += (v0 + v1) + (v2 + v3);
  }
  return total;
}
// @end

@compute @workgroup_size(WG)
fn part(p: Place) {
  let group = group_index(p.wid, p.count);
  var total = E();
  // @unroll k in 0..INPUTS
  let own$k = group - parts.first$k; // wraps around before the first
  let holds$k = own$k * (WG * RUN) < parts.n$k && group >= parts.first$k;
  if (holds$k) { total = part$k(own$k, p.local); }
  // @end
  let sum = group_sum1(p, across(total));
  let holds = false
  // @unroll k in 0..INPUTS
    || holds$k
  // @end
  ;
  if (p.local == 0u && holds) { partials[parts.at + group] = sum; }
}

struct Params { n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> coefficient: array<f32>;

fn whole(p: Place) -> f32 {
  var total = 0.0;
  for (var i = p.local; i < params.n; i += 8u * WG) {
    // @unroll j in 0..8
    let v$j = select(0.0, x[min(i + $(j)u * WG, params.n - 1u)], i + $(j)u * WG < params.n);
    // @end
    total += ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7));
  }
  return group_sum1(p, total);
}

@compute @workgroup_size(WG)
fn finish_sum(p: Place) {
  let total = whole(p);
  if (p.local == 0u) { out[0] = params.factor * total; }
}

@compute @workgroup_size(WG)
fn finish_norm(p: Place) {
  let length = sqrt(whole(p));
  if (p.local > 0u) { return; }
  norm[0] = length;
  coefficient[0] = select(min(1.0, params.factor / (length + 1e-6)), 1.0, params.factor == 0.0);
}

struct Columns { rows: u32, C: u32, per_block: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> matrix: Columns;
@group(0) @binding(1) var<storage, read> cells: array<S>;
@group(0) @binding(2) var<storage, read_write> sums: array<E>;

@compute @workgroup_size(WG)
fn columns(p: Place) {
  let group = group_index(p.wid, p.count);
  let across_row = (matrix.C + COLUMNS - 1u) / COLUMNS;
  let block = group / across_row;
  let c = (group - block * across_row) * COLUMNS + p.local % COLUMNS;
  let start = block * matrix.per_block;
  let end = min(start + matrix.per_block, matrix.rows);
  var total = E();
  if (c < matrix.C) {
    for (var r = start + p.local / COLUMNS; r < end; r += 4u * SLICES) {
      // @unroll j in 0..4
      let v$j = select(E(), load(cells[min(r + $(j)u * SLICES, end - 1u) * matrix.C + c]), r + $(j)u * SLICES < end);
      // @end
      total += (v0 + v1) + (v2 + v3);
    }
  }
  total = column_sum(p.local, total);
  if (p.local >= COLUMNS || c >= matrix.C || start >= matrix.rows) { return; }
  let at = block * matrix.C + c;
  if (matrix.accumulate == 1u) { total += sums[at]; }
  sums[at] = total;
}
