// Windows over the tokens of packed rows, ReLU, and the largest over each row. The window at token t of row b holds W tokens from there on,
// all of the row; with v[t, f] = bias[f] + sum over i, k of weight[f, i, k] x[t + k, i]
//   convolve         x[T, I], weight[F, I, W], bias[F]  -> y[B, F], at[B, F]   y = the largest of 0 and v over the row's windows; at = the first
//                                                          window that has it, NONE where none is above 0. NaN wins.
//   weight_backward  at, x, dy[B, F]   -> dweight[F, I, W], dbias[F]   overwritten, or added to
//   x_backward       rows[T], at, weight, dy  -> dx[T, I]   overwritten
// An invocation takes a column f of a row, a weight, or a value of dx. Source: torch.nn.Conv1d, relu, max over time (Kim 2014).

const WG: u32 = 64;
const NONE: u32 = 0xffffffffu;

struct Params { B: u32, T: u32, I: u32, F: u32, W: u32, add_weight: u32, add_bias: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> at: array<u32>;

@group(0) @binding(1) var<storage, read> found: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbias: array<f32>;

@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> windows: array<u32>; // at
@group(0) @binding(4) var<storage, read> dout: array<f32>; // dy
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

// By its bits: compilers take it that a comparison with NaN never happens.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

@compute @workgroup_size(WG)
fn convolve(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.B * params.F) { return; }
  let b = unit / params.F;
  let f = unit % params.F;
  let first = f * params.I * params.W;
  var most = 0.0;
  var place = NONE;
  // A row of fewer tokens than a window has none.
  for (var t = starts[b]; t + params.W <= starts[b + 1u]; t++) {
    var v = bias[f];
    for (var k = 0u; k < params.W; k++) {
      var part = 0.0;
      for (var i = 0u; i < params.I; i++) { part += weight[first + i * params.W + k] * x[(t + k) * params.I + i]; }
      v += part;
    }
    let better = (v > most || is_nan(v)) && !is_nan(most);
    most = select(most, v, better);
    place = select(place, t, better);
  }
  y[unit] = most;
  at[unit] = place;
}

@compute @workgroup_size(WG)
fn weight_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let each = params.I * params.W;
  if (unit >= params.F * each) { return; }
  let f = unit / each;
  let i = unit % each / params.W;
  let k = unit % params.W;
  var total = 0.0;
  var bias_total = 0.0;
  // In runs, so that rounding errors do not grow with the whole length.
  for (var run = 0u; run < params.B; run += 64u) {
    var some = 0.0;
    var bias_some = 0.0;
    for (var b = run; b < min(run + 64u, params.B); b++) {
      let t = found[b * params.F + f];
      if (t == NONE) { continue; }
      let d = dy[b * params.F + f];
      some += d * x[(t + k) * params.I + i];
      bias_some += d;
    }
    total += some;
    bias_total += bias_some;
  }
  dweight[unit] = total + select(0.0, dweight[unit], params.add_weight == 1u);
  if (unit % each == 0u) { dbias[f] = bias_total + select(0.0, dbias[f], params.add_bias == 1u); }
}

@compute @workgroup_size(WG)
fn x_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.T * params.I) { return; }
  let t = unit / params.I;
  let i = unit % params.I;
  let row = rows[t] * params.F;
  var total = 0.0;
  for (var f = 0u; f < params.F; f++) {
    let start = windows[row + f];
    // A window that begins behind t wraps around, to more than W.
    let k = t - start;
    if (start != NONE && k < params.W) { total += dout[row + f] * weight[(f * params.I + i) * params.W + k]; }
  }
  dx[unit] = total;
}
