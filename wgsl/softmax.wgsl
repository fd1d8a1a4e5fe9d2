// Softmax of each row of x[rows, C], one invocation per row; the row's maximum is taken off first.
//   forward   x        -> y     overwrites;  y = exp(x - max) / sum
//   backward  y, dy    -> dx    overwrites;  dx = y * (dy - sum over the row of dy * y)
//   log_forward   x      -> y     overwrites;  y = x - max - log(sum of exp(x - max))
//   log_backward  y, dy  -> dx    overwrites;  dx = dy - exp(y) * (sum over the row of dy)

const WG: u32 = 64;

struct Params { rows: u32, C: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@group(0) @binding(1) var<storage, read> y_in: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  var top = x[first];
  for (var c = 1u; c < params.C; c++) { top = max(top, x[first + c]); }
  var total = 0.0;
  for (var c = 0u; c < params.C; c++) { total += exp(x[first + c] - top); }
  for (var c = 0u; c < params.C; c++) { y[first + c] = exp(x[first + c] - top) / total; }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  var along = 0.0;
  for (var c = 0u; c < params.C; c++) { along += dy[first + c] * y_in[first + c]; }
  for (var c = 0u; c < params.C; c++) { dx[first + c] = y_in[first + c] * (dy[first + c] - along); }
}

@compute @workgroup_size(WG)
fn log_forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  var top = x[first];
  for (var c = 1u; c < params.C; c++) { top = max(top, x[first + c]); }
  var total = 0.0;
  for (var c = 0u; c < params.C; c++) { total += exp(x[first + c] - top); }
  let off = log(total);
  for (var c = 0u; c < params.C; c++) { y[first + c] = (x[first + c] - top) - off; }
}

@compute @workgroup_size(WG)
fn log_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = invocation_index(wid, count, local, WG);
  if (row >= params.rows) { return; }
  let first = row * params.C;
  var total = 0.0;
  for (var c = 0u; c < params.C; c++) { total += dy[first + c]; }
  for (var c = 0u; c < params.C; c++) { dx[first + c] = dy[first + c] - exp(y_in[first + c]) * total; }
}
