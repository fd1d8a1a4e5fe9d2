// Cross-entropy in slices for GPUs: sliced_cross_entropy.wgsl's functions. C and first count E.
//   fold      z, bias[V], labels[rows]  -> stats[rows, parts], part number `at`; own[rows]   a row for LANES invocations of a workgroup
//   gradient  z, bias, labels, tops, dlosses[rows] -> z, in place                            an E an invocation
// softmax_rows.wgsl stands before this text.

const WG: u32 = 64;

struct FoldParams { rows: u32, C: u32, first: u32, at: u32, parts: u32 }
@group(0) @binding(0) var<uniform> fold_params: FoldParams;
@group(0) @binding(1) var<storage, read> z: array<E>;
@group(0) @binding(2) var<storage, read> bias: array<E>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> own: array<f32>;

fn value(first: u32, c: u32) -> E { return z[first + c] + bias[fold_params.first + c]; }

@compute @workgroup_size(WG)
fn fold(p: Place) {
  let row = row_of(p);
  let size = select(0u, fold_params.C, row < fold_params.rows); // those past the last row take part in the sums
  let found = exponentials(p, row * fold_params.C, size);
  if (lane_of(p) > 0u || row >= fold_params.rows) { return; }
  stats[row * fold_params.parts + fold_params.at] = vec2f(found.top, found.total);
  let label = labels[row] - fold_params.first * WIDTH; // of an earlier slice: wraps around, past C
  if (label < fold_params.C * WIDTH) { own[row] = part_of(value(row * fold_params.C, label / WIDTH), label); }
}

struct GradientParams { rows: u32, C: u32, first: u32 }
@group(0) @binding(0) var<uniform> gradient_params: GradientParams;
@group(0) @binding(1) var<storage, read_write> z_inout: array<E>;
@group(0) @binding(4) var<storage, read> tops_in: array<vec2f>;
@group(0) @binding(5) var<storage, read> dlosses: array<f32>;

@compute @workgroup_size(WG)
fn gradient(p: Place) {
  let i = group_index(p.wid, p.count) * WG + p.local;
  let row = i / gradient_params.C;
  if (row >= gradient_params.rows) { return; }
  let c = gradient_params.first + i - row * gradient_params.C;
  let t = tops_in[row];
  let probability = exp(z_inout[i] + bias[c] - t.x) / t.y;
  z_inout[i] = dlosses[row] * (probability - one_hot(labels[row], c));
}
