// Softmax cross-entropy of logits [rows, V] that never exist as a whole: z [rows, C] holds, without the bias, those of the classes from
// `first` on. Slices follow each other in any memory; what is left of one is two numbers a row and part.
//   fold     z, bias[V], labels[rows]  -> stats[rows, parts] from part `at` on: the maximum and the sum of exp(logit - maximum) of
//            PARTS interleaved parts of the slice; own[rows]: the label's logit, where it lies in the slice   overwrites
//   finish   stats, own                -> losses[rows] = log(sum) + (max - own), tops[rows] = max and sum over all classes,
//            right[rows] = 1 where no logit is greater than the label's, else 0                             overwrites
//   gradient z, bias, labels, tops, dlosses[rows] -> z = dlosses (softmax - onehot)                         in place

const WG: u32 = 64;
const PARTS: u32 = 16;
const LOWEST: f32 = -3.4028234e38; // of a part without a class, so that no infinity meets another

struct FoldParams { rows: u32, C: u32, first: u32, at: u32, parts: u32 }
@group(0) @binding(0) var<uniform> fold_params: FoldParams;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> own: array<f32>;

// Neighbouring invocations read neighbouring classes.
@compute @workgroup_size(WG)
fn fold(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let row = unit / PARTS;
  let part = unit % PARTS;
  if (row >= fold_params.rows) { return; }
  let C = fold_params.C;
  let from_row = row * C;
  var top = LOWEST;
  for (var c = part; c < C; c += PARTS) { top = max(top, z[from_row + c] + bias[fold_params.first + c]); }
  var total = 0.0;
  for (var c = part; c < C; c += PARTS) { total += exp(z[from_row + c] + bias[fold_params.first + c] - top); }
  stats[row * fold_params.parts + fold_params.at + part] = vec2f(top, total);
  let label = labels[row] - fold_params.first; // of an earlier slice: wraps around, past C
  if (part == 0u && label < C) { own[row] = z[from_row + label] + bias[labels[row]]; }
}

struct FinishParams { rows: u32, parts: u32 }
@group(0) @binding(0) var<uniform> finish_params: FinishParams;
@group(0) @binding(1) var<storage, read> stats_in: array<vec2f>;
@group(0) @binding(2) var<storage, read> own_in: array<f32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> tops: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> right: array<f32>;

@compute @workgroup_size(WG)
fn finish(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= finish_params.rows) { return; }
  let first = row * finish_params.parts;
  var top = LOWEST;
  for (var p = 0u; p < finish_params.parts; p++) { top = max(top, stats_in[first + p].x); }
  var total = 0.0;
  for (var p = 0u; p < finish_params.parts; p++) { total += stats_in[first + p].y * exp(stats_in[first + p].x - top); }
  losses[row] = log(total) + (top - own_in[row]);
  tops[row] = vec2f(top, total);
  right[row] = select(0.0, 1.0, own_in[row] == top);
}

struct GradientParams { rows: u32, C: u32, first: u32 }
@group(0) @binding(0) var<uniform> gradient_params: GradientParams;
@group(0) @binding(1) var<storage, read_write> z_inout: array<f32>;
@group(0) @binding(4) var<storage, read> tops_in: array<vec2f>;
@group(0) @binding(5) var<storage, read> dlosses: array<f32>;

@compute @workgroup_size(WG)
fn gradient(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= gradient_params.rows * gradient_params.C) { return; }
  let row = i / gradient_params.C;
  let class_id = gradient_params.first + i % gradient_params.C;
  let t = tops_in[row];
  let probability = exp(z_inout[i] + bias[class_id] - t.x) / t.y;
  z_inout[i] = dlosses[row] * (probability - select(0.0, 1.0, class_id == labels[row]));
}
