// Pairs of rows of a segment of which one has the greater label: labels_i > labels_j, as of a list of documents by how relevant they are. An
// invocation takes a row i and walks its segment, whatever its length: nothing is kept per pair. All overwrite.
//   losses           x, labels, values      -> y[N]   the sum over labels_j < labels_i of w_ij log(1 + exp(x_j - x_i))
//   losses_backward  x, labels, values, dy  -> dx[N]
//   discounts        x                      -> y[N]   1 / log2(1 + rank) in the segment by x, the largest first; 0 behind rank k
// w_ij is 1, or values_j (KIND 1), or (labels_i - labels_j) |values_i - values_j| (KIND 2).
// Equal values keep their order. Rows first to end - 1 are taken.
// Source: Burges, From RankNet to LambdaRank to LambdaMART, 2010.

const WG: u32 = 64;
const KIND: u32 = 0;

struct Params { B: u32, first: u32, end: u32, k: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<f32>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@group(0) @binding(3) var<storage, read_write> ranked: array<f32>; // of discounts

// The segment of a row: the last one that starts at or before it.
fn segment_of(row: u32) -> vec2u {
  var low = 0u;
  var high = params.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (starts[middle] <= row) { low = middle; } else { high = middle; }
  }
  return vec2u(starts[low], starts[low + 1u]);
}

// By bits: compilers may take it for granted that x == x.
fn or_nan(v: f32, x: f32) -> f32 { return select(v, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u); }
fn exp_below(x: f32) -> f32 { return select(exp(x), 0.0, x < -103.972084); } // of x <= 0
// log(1 + e) for 0 <= e <= 1 as 2 atanh(e / (2 + e)), to the last bits however small e is.
fn log_one_plus(e: f32) -> f32 {
  let s = e / (2.0 + e);
  let z = s * s;
  let tail = z * (0.33333333 + z * (0.2 + z * (0.14285715 + z * (0.11111111 + z * (0.09090909 + z * (0.07692308 + z * 0.06666667))))));
  return 2.0 * (s + s * tail);
}
fn softplus(d: f32) -> f32 { return or_nan(max(d, 0.0) + log_one_plus(exp_below(-abs(d))), d); }
fn sigmoid(d: f32) -> f32 {
  let e = exp_below(-abs(d));
  let r = 1.0 / (1.0 + e);
  return or_nan(select(r, e * r, d < 0.0), d);
}

// What a pair counts, j being the row below; `gap` is how far its label is.
fn weight(i: u32, j: u32, gap: f32) -> f32 {
  // @if KIND
  // @if KIND/2
  return gap * abs(values[i] - values[j]);
  // @else
  return values[j];
  // @end
  // @else
  return 1.0;
  // @end
}

@compute @workgroup_size(WG)
fn losses(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = params.first + invocation_index(wid, count, local, WG);
  if (i >= params.end) { return; }
  let own = segment_of(i);
  let score = x[i];
  let label = labels[i];
  var total = 0.0;
  // In runs, so that rounding errors do not grow with the whole length.
  for (var run = own.x; run < own.y; run += 64u) {
    var some = 0.0;
    for (var j = run; j < min(run + 64u, own.y); j++) {
      let gap = label - labels[j];
      if (gap > 0.0) { some += weight(i, j, gap) * softplus(x[j] - score); }
    }
    total += some;
  }
  y[i] = total;
}

@compute @workgroup_size(WG)
fn losses_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = params.first + invocation_index(wid, count, local, WG);
  if (i >= params.end) { return; }
  let own = segment_of(i);
  let score = x[i];
  let label = labels[i];
  let d = dy[i];
  var total = 0.0;
  for (var run = own.x; run < own.y; run += 64u) {
    var some = 0.0;
    for (var j = run; j < min(run + 64u, own.y); j++) {
      let gap = label - labels[j];
      if (gap > 0.0) { some -= d * weight(i, j, gap) * sigmoid(x[j] - score); }
      if (gap < 0.0) { some += dy[j] * weight(j, i, -gap) * sigmoid(score - x[j]); }
    }
    total += some;
  }
  dx[i] = total;
}

@compute @workgroup_size(WG)
fn discounts(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = params.first + invocation_index(wid, count, local, WG);
  if (i >= params.end) { return; }
  let own = segment_of(i);
  let score = x[i];
  var rank = 1u;
  for (var j = own.x; j < own.y; j++) { rank += select(0u, 1u, x[j] > score || (x[j] == score && j < i)); }
  ranked[i] = select(1.0 / log2(1.0 + f32(rank)), 0.0, rank > params.k);
}
