// Softmax of each row of x[rows, C] for GPUs: softmax.wgsl's functions, a row for LANES invocations of a workgroup. C counts E.
//   forward   x      -> y     backward      y, dy  -> dx
//   log_forward  x   -> y     log_backward  y, dy  -> dx
// softmax_rows.wgsl stands before this text.

const WG: u32 = 64;

struct Params { rows: u32, C: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;

@group(0) @binding(1) var<storage, read> y_in: array<E>;
@group(0) @binding(2) var<storage, read> dy: array<E>;
@group(0) @binding(3) var<storage, read_write> dx: array<E>;

fn value(first: u32, c: u32) -> E { return x[first + c]; }
// Values of the row: none past the last row, whose invocations take part in the sums.
fn size_of(row: u32) -> u32 { return select(0u, params.C, row < params.rows); }

@compute @workgroup_size(WG)
fn forward(p: Place) {
  let first = row_of(p) * params.C;
  let size = size_of(row_of(p));
  let row = exponentials(p, first, size);
  for (var c = lane_of(p); c < size; c += LANES) { y[first + c] = exp(x[first + c] - row.top) / row.total; }
}

@compute @workgroup_size(WG)
fn log_forward(p: Place) {
  let first = row_of(p) * params.C;
  let size = size_of(row_of(p));
  let row = exponentials(p, first, size);
  let off = log(row.total);
  for (var c = lane_of(p); c < size; c += LANES) { y[first + c] = (x[first + c] - row.top) - off; }
}

@compute @workgroup_size(WG)
fn backward(p: Place) {
  let first = row_of(p) * params.C;
  let size = size_of(row_of(p));
  var own = E();
  for (var c = lane_of(p); c < size; c += LANES) { own += dy[first + c] * y_in[first + c]; }
  let along = group_sum1(p, across(own));
  for (var c = lane_of(p); c < size; c += LANES) { dx[first + c] = y_in[first + c] * (dy[first + c] - along); }
}

@compute @workgroup_size(WG)
fn log_backward(p: Place) {
  let first = row_of(p) * params.C;
  let size = size_of(row_of(p));
  var own = E();
  for (var c = lane_of(p); c < size; c += LANES) { own += dy[first + c]; }
  let total = group_sum1(p, across(own));
  for (var c = lane_of(p); c < size; c += LANES) { dx[first + c] = dy[first + c] - exp(y_in[first + c]) * total; }
}
