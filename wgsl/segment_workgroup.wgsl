// Segments of rows of x[N, I] for GPUs: segment.wgsl's functions. A workgroup has COLUMNS neighbouring columns of a segment, and its
// invocations share the rows. All overwrite.
// column_sum.wgsl stands before this text.

const WG: u32 = 64;
alias E = f32;

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

var<workgroup> tops: array<f32, WG>;
// The largest of a column, NaN first.
fn column_top(local: u32, v: f32) -> f32 {
  tops[local] = v;
  for (var left = SLICES / 2u; left > 0u; left /= 2u) {
    workgroupBarrier();
    if (local < left * COLUMNS) { tops[local] = larger(tops[local], tops[local + left * COLUMNS]); }
  }
  workgroupBarrier();
  let top = tops[local % COLUMNS];
  workgroupBarrier();
  return top;
}

// A column's place among those of all segments; where this invocation's first value of it is, how far the next one is, and where they end.
// `leads` is whether it writes the column's result; share, what of a mean a value is.
struct Column { unit: u32, first: u32, step: u32, end: u32, leads: bool, share: f32 }

fn column_of(wid: vec3u, count: vec3u, local: u32) -> Column {
  let per_segment = (params.I + COLUMNS - 1u) / COLUMNS;
  let group = group_index(wid, count);
  let b = group / per_segment;
  let i = (group - b * per_segment) * COLUMNS + local % COLUMNS;
  let there = b < params.B && i < params.I;
  let start = starts[min(b, params.B - 1u)];
  let end = select(start, starts[min(b, params.B - 1u) + 1u], there);
  let share = select(1.0, 1.0 / f32(max(end - start, 1u)), params.mean == 1u);
  return Column(b * params.I + i, (start + local / COLUMNS) * params.I + i, SLICES * params.I, end * params.I, there && local < COLUMNS, share);
}

fn top_of(c: Column, local: u32) -> f32 {
  var most = -infinity();
  for (var at = c.first; at < c.end; at += c.step) { most = larger(most, x[at]); }
  return column_top(local, most);
}
// Of exponentials, the largest value taken off.
fn total_of(c: Column, local: u32, most: f32) -> f32 {
  var total = 0.0;
  for (var at = c.first; at < c.end; at += c.step) { total += exp(x[at] - most); }
  return column_total(local, total);
}

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  var own = 0.0;
  // In runs, so that rounding errors do not grow with the whole length.
  for (var run = c.first; run < c.end; run += 64u * c.step) {
    var some = 0.0;
    for (var at = run; at < min(run + 64u * c.step, c.end); at += c.step) { some += x[at]; }
    own += some;
  }
  let total = column_sum(local, own);
  if (c.leads) { y[c.unit] = total * c.share; }
}

@compute @workgroup_size(WG)
fn top(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  let most = top_of(c, local);
  if (c.leads) { y[c.unit] = most; }
}

@compute @workgroup_size(WG)
fn log_sum_exp(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  let most = top_of(c, local);
  let total = total_of(c, local, most);
  // An infinite one is the result, whatever stands beside it.
  if (c.leads) { y[c.unit] = select(most + log(total), most, !(abs(most) < infinity())); }
}

@compute @workgroup_size(WG)
fn distribution(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  let most = top_of(c, local);
  let total = total_of(c, local, most);
  for (var at = c.first; at < c.end; at += c.step) { y[at] = exp(x[at] - most) / total; }
}

@compute @workgroup_size(WG)
fn log_distribution(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  let most = top_of(c, local);
  let off = log(total_of(c, local, most));
  // The difference first: of large values it loses nothing.
  for (var at = c.first; at < c.end; at += c.step) { y[at] = (x[at] - most) - off; }
}

@compute @workgroup_size(WG)
fn sum_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  if (c.first >= c.end) { return; }
  let d = x[c.unit] * c.share;
  for (var at = c.first; at < c.end; at += c.step) { y[at] = d; }
}

@compute @workgroup_size(WG)
fn top_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  let most = out[c.unit];
  var own = 0.0;
  for (var at = c.first; at < c.end; at += c.step) { own += select(0.0, 1.0, x[at] == most); }
  let d = dy[c.unit] / column_total(local, own);
  for (var at = c.first; at < c.end; at += c.step) { dx[at] = select(0.0, d, x[at] == most); }
}

@compute @workgroup_size(WG)
fn log_sum_exp_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  // Not exp(x - out): out is rounded, and of large values the rounding is no small factor.
  let most = top_of(c, local);
  let off = select(most, 0.0, most <= -infinity());
  let total = total_of(c, local, off);
  let d = select(dy_rows[c.unit] / total, 0.0, total == 0.0);
  for (var at = c.first; at < c.end; at += c.step) { dx_rows[at] = d * exp(x[at] - off); }
}

@compute @workgroup_size(WG)
fn distribution_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  var own = 0.0;
  for (var at = c.first; at < c.end; at += c.step) { own += x[at] * dy_rows[at]; }
  let along = column_total(local, own);
  for (var at = c.first; at < c.end; at += c.step) { dx_rows[at] = x[at] * (dy_rows[at] - along); }
}

@compute @workgroup_size(WG)
fn log_distribution_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = column_of(wid, count, local);
  var own = 0.0;
  for (var at = c.first; at < c.end; at += c.step) { own += dy_rows[at]; }
  let total = column_total(local, own);
  for (var at = c.first; at < c.end; at += c.step) { dx_rows[at] = dy_rows[at] - exp(x[at]) * total; }
}
