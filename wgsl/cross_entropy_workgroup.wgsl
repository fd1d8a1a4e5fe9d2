// Softmax cross-entropy for GPUs: cross_entropy.wgsl's functions. C counts E.
//   forward   logits, labels[rows]  -> losses[rows], probs[rows, C]   a row for LANES invocations of a workgroup
//   few       the same, and loss[0] = their mean: a row an invocation, all by one workgroup, where rows and classes are few
//   backward  probs, labels, dloss  -> dlogits[rows, C]               an E an invocation
// softmax_rows.wgsl stands before this text.

const WG: u32 = 64;

struct Params { rows: u32, C: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<E>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> probs: array<E>;
@group(0) @binding(5) var<storage, read_write> loss: array<f32>;

@group(0) @binding(1) var<storage, read> probs_in: array<E>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<E>;

fn value(first: u32, c: u32) -> E { return logits[first + c]; }
fn own_logit(row: u32) -> f32 { return part_of(logits[row * params.C + labels[row] / WIDTH], labels[row]); }

@compute @workgroup_size(WG)
fn forward(p: Place) {
  let row = row_of(p);
  let first = row * params.C;
  let size = select(0u, params.C, row < params.rows); // those past the last row take part in the sums
  let found = exponentials(p, first, size);
  for (var c = lane_of(p); c < size; c += LANES) { probs[first + c] = exp(logits[first + c] - found.top) / found.total; }
  if (lane_of(p) == 0u && size > 0u) { losses[row] = log(found.total) + (found.top - own_logit(row)); }
}

@compute @workgroup_size(WG)
fn few(p: Place) {
  var sum = 0.0;
  for (var row = p.local; row < params.rows; row += WG) {
    let first = row * params.C;
    var top = highest(logits[first]);
    for (var c = 1u; c < params.C; c++) { top = max(top, highest(logits[first + c])); }
    var total = 0.0;
    for (var c = 0u; c < params.C; c++) { total += across(exp(logits[first + c] - top)); }
    for (var c = 0u; c < params.C; c++) { probs[first + c] = exp(logits[first + c] - top) / total; }
    let own = log(total) + (top - own_logit(row));
    losses[row] = own;
    sum += own;
  }
  let all = group_sum1(p, sum);
  if (p.local == 0u) { loss[0] = all / f32(params.rows); }
}

@compute @workgroup_size(WG)
fn backward(p: Place) {
  let i = group_index(p.wid, p.count) * WG + p.local;
  let row = i / params.C;
  if (row >= params.rows) { return; }
  let factor = dloss[0] / f32(params.rows);
  dlogits[i] = factor * (probs_in[i] - one_hot(labels[row], i - row * params.C));
}
