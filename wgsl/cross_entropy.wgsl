// Softmax cross-entropy of logits[rows, C] against one label per row, one invocation per row. The mean over the rows is a
// fixed-order sum of reduce.wgsl.
//   forward   logits, labels[rows]       -> losses[rows], probs[rows, C]   overwrites;
//             loss = log(sum of exp(logit - max)) + (max - logit of the label); probs is the softmax, for the backward
//   backward  probs, labels, dloss[1]    -> dlogits[rows, C]               overwrites;
//             dlogits = dloss * (probs - onehot) / rows

const WG: u32 = 64;

struct Params { rows: u32, C: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> probs: array<f32>;

@group(0) @binding(1) var<storage, read> probs_in: array<f32>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  var top = logits[first];
  for (var c = 1u; c < params.C; c++) { top = max(top, logits[first + c]); }
  var total = 0.0;
  for (var c = 0u; c < params.C; c++) { total += exp(logits[first + c] - top); }
  for (var c = 0u; c < params.C; c++) { probs[first + c] = exp(logits[first + c] - top) / total; }
  losses[row] = log(total) + (top - logits[first + labels[row]]);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  let label = labels[row];
  let factor = dloss[0] / f32(params.rows);
  for (var c = 0u; c < params.C; c++) {
    dlogits[first + c] = factor * (probs_in[first + c] - select(0.0, 1.0, c == label));
  }
}
