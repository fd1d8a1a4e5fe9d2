// One value, or one distribution, for each segment of rows of x[N, I]: segment b is the rows starts[b] to starts[b + 1] - 1, each column
// by itself. An invocation takes a column of a segment, in order. All overwrite.
//   sum           x           -> out[B, I]   the sum, or with mean the mean; 0 of no rows
//   top           x           -> out[B, I]   the largest, NaN first; -infinity of no rows
//   log_sum_exp   x           -> out[B, I]   -infinity of no rows, or of -infinities
//   distribution  x           -> y[N, I]     exp(x - top) over its sum
//   log_distribution  x       -> y[N, I]     x - top - log of that sum
// and their gradients, of dy[B, I], or dy[N, I] for the distributions:
//   sum_backward           dy          -> dx[N, I]   dy, or with mean its share
//   top_backward           x, out, dy  -> dx[N, I]   the largest share dy evenly
//   log_sum_exp_backward   x, dy       -> dx[N, I]   dy exp(x - top) over their sum
//   distribution_backward  y, dy       -> dx[N, I]   y (dy - sum of dy y)
//   log_distribution_backward  y, dy   -> dx[N, I]   dy - exp(y) sum of dy
// Source: torch.segment_reduce.

const WG: u32 = 64;
// Sums are taken in runs, so that rounding errors do not grow with the whole length.
const RUN: u32 = 64;

struct Params { B: u32, I: u32, mean: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@group(0) @binding(3) var<storage, read> out: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@group(0) @binding(3) var<storage, read> dy_rows: array<f32>; // dy[B, I] of log_sum_exp
@group(0) @binding(4) var<storage, read_write> dx_rows: array<f32>;

fn infinity() -> f32 { return bitcast<f32>(0x7f800000u | (params.B & 0u)); }
fn larger(a: f32, b: f32) -> f32 { return select(b, a, (a > b) | ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u)); }

struct Segment { unit: u32, first: u32, end: u32 }
// A column's places in x: from first, I apart, before end.
fn segment(wid: vec3u, count: vec3u, local: u32) -> Segment {
  let unit = invocation_index(wid, count, local, WG);
  let b = min(unit / params.I, params.B - 1u);
  let i = unit % params.I;
  return Segment(unit, starts[b] * params.I + i, starts[b + 1u] * params.I + i);
}
fn outside(s: Segment) -> bool { return s.unit >= params.B * params.I; }

fn top_of(s: Segment) -> f32 {
  var most = -infinity();
  for (var at = s.first; at < s.end; at += params.I) { most = larger(most, x[at]); }
  return most;
}
// Of exponentials, the largest value taken off.
fn total_of(s: Segment, most: f32) -> f32 {
  var total = 0.0;
  for (var run = s.first; run < s.end; run += RUN * params.I) {
    var some = 0.0;
    for (var at = run; at < min(run + RUN * params.I, s.end); at += params.I) { some += exp(x[at] - most); }
    total += some;
  }
  return total;
}
fn share(s: Segment) -> f32 {
  let rows = max((s.end - s.first) / params.I, 1u);
  return select(1.0, 1.0 / f32(rows), params.mean == 1u);
}

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  var total = 0.0;
  for (var run = s.first; run < s.end; run += RUN * params.I) {
    var some = 0.0;
    for (var at = run; at < min(run + RUN * params.I, s.end); at += params.I) { some += x[at]; }
    total += some;
  }
  y[s.unit] = total * share(s);
}

@compute @workgroup_size(WG)
fn top(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  y[s.unit] = top_of(s);
}

@compute @workgroup_size(WG)
fn log_sum_exp(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  let most = top_of(s);
  // An infinite one is the result, whatever stands beside it.
  y[s.unit] = select(most + log(total_of(s, most)), most, !(abs(most) < infinity()));
}

@compute @workgroup_size(WG)
fn distribution(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  let most = top_of(s);
  let total = total_of(s, most);
  for (var at = s.first; at < s.end; at += params.I) { y[at] = exp(x[at] - most) / total; }
}

@compute @workgroup_size(WG)
fn log_distribution(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  let most = top_of(s);
  let off = log(total_of(s, most));
  // The difference first: of large values it loses nothing.
  for (var at = s.first; at < s.end; at += params.I) { y[at] = (x[at] - most) - off; }
}

@compute @workgroup_size(WG)
fn sum_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  let d = x[s.unit] * share(s);
  for (var at = s.first; at < s.end; at += params.I) { y[at] = d; }
}

@compute @workgroup_size(WG)
fn top_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  let most = out[s.unit];
  var rows = 0.0;
  for (var at = s.first; at < s.end; at += params.I) { rows += select(0.0, 1.0, x[at] == most); }
  let d = dy[s.unit] / rows;
  for (var at = s.first; at < s.end; at += params.I) { dx[at] = select(0.0, d, x[at] == most); }
}

@compute @workgroup_size(WG)
fn log_sum_exp_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  // Not exp(x - out): out is rounded, and of large values the rounding is no small factor.
  let most = top_of(s);
  let off = select(most, 0.0, most <= -infinity());
  let total = total_of(s, off);
  let d = select(dy_rows[s.unit] / total, 0.0, total == 0.0);
  for (var at = s.first; at < s.end; at += params.I) { dx_rows[at] = d * exp(x[at] - off); }
}

@compute @workgroup_size(WG)
fn distribution_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  var along = 0.0;
  for (var run = s.first; run < s.end; run += RUN * params.I) {
    var some = 0.0;
    for (var at = run; at < min(run + RUN * params.I, s.end); at += params.I) { some += x[at] * dy_rows[at]; }
    along += some;
  }
  for (var at = s.first; at < s.end; at += params.I) { dx_rows[at] = x[at] * (dy_rows[at] - along); }
}

@compute @workgroup_size(WG)
fn log_distribution_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let s = segment(wid, count, local);
  if (outside(s)) { return; }
  var total = 0.0;
  for (var run = s.first; run < s.end; run += RUN * params.I) {
    var some = 0.0;
    for (var at = run; at < min(run + RUN * params.I, s.end); at += params.I) { some += dy_rows[at]; }
    total += some;
  }
  for (var at = s.first; at < s.end; at += params.I) { dx_rows[at] = dy_rows[at] - exp(x[at]) * total; }
}
