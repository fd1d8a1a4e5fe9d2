// Scaled dot-product attention from the tokens of one set of packed rows to those of another: query token t of row b attends to the keys
// of row b, with CAUSAL only to those at its own place in the row or before.
//   q, out, dout [Tq, A, D]   k, v [Tk, A, D]   lse, delta [Tq, A]; D counts E
//   index: where the rows of queries begin [B + 1], where those of keys begin [B + 1], and with MASK which tokens are keys [Tk]
//   forward     s_j = scale q·k_j, lse = log sum exp s_j, out = sum exp(s_j - lse) v_j
//   backward_q  dq = scale sum ds_j k_j, ds_j = w_j (dout·v_j - delta), w_j = exp(s_j - lse), delta = dout·out
//   backward_k  dk = scale sum ds q over the row's queries
//   backward_v  dv = sum w dout over the row's queries
// Everything is overwritten. A query without a key: out 0, lse 0, and no gradient. An invocation takes one head of one token and goes
// through the other side by tiles of M tokens; what they add to its result lies in memory from tile to tile. Sums are in a fixed order.
// Source: Vaswani et al. 2017; online softmax after Milakov and Gimelshein 2018.

const WG: u32 = 32;
const M: u32 = 4;
const CAUSAL: u32 = 0;
const MASK: u32 = 0;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
fn inner(a: E, b: E) -> f32 { return dot(a, b); }
// @else
alias E = f32;
fn inner(a: E, b: E) -> f32 { return a * b; }
// @end

struct Params { B: u32, A: u32, D: u32, tokens: u32, scale: f32 } // tokens: of the side that invocations take
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<E>;
@group(0) @binding(2) var<storage, read> k: array<E>;
@group(0) @binding(3) var<storage, read> v: array<E>;
@group(0) @binding(4) var<storage, read> index: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<E>;
@group(0) @binding(6) var<storage, read_write> lse_out: array<f32>;

@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> dout: array<E>;
@group(0) @binding(7) var<storage, read> delta: array<f32>;
@group(0) @binding(8) var<storage, read_write> d: array<E>;

fn is_key(j: u32) -> bool {
  if (MASK == 0u) { return true; }
  return index[2u * params.B + 2u + j] != 0u;
}

// The token and head of an invocation, and the tokens of the other side that it may meet.
struct Span { t: u32, a: u32, first: u32, end: u32, row: u32 }

// `own` and `other` are where the two sides' rows begin in index.
fn span_of(unit: u32, own: u32, other: u32) -> Span {
  let t = unit / params.A;
  var low = 0u;
  var high = params.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    let before = index[own + middle] <= t;
    low = select(low, middle, before);
    high = select(middle, high, before);
  }
  return Span(t, unit - t * params.A, index[other + low], index[other + low + 1u], low);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.tokens * params.A) { return; }
  let s = span_of(unit, 0u, params.B + 1u);
  var end = s.end;
  if (CAUSAL == 1u) { end = min(end, s.first + s.t - index[s.row] + 1u); }
  let q_at = unit * params.D;
  var top = -3.0e38;
  var total = 0.0;
  for (var j0 = s.first; j0 < end; j0 += M) {
    // @unroll m in 0..M
    let j$m = min(j0 + $(m)u, end - 1u);
    let key$m = (j0 + $(m)u < end) & is_key(j$m);
    let at$m = (j$m * params.A + s.a) * params.D;
    var dot$m = 0.0;
    // @end
    for (var g = 0u; g < params.D; g++) {
      let own = q[q_at + g];
      // @unroll m in 0..M
      dot$m += inner(own, k[at$m + g]);
      // @end
    }
    var highest = top;
    // @unroll m in 0..M
    let score$m = select(-3.0e38, params.scale * dot$m, key$m);
    highest = max(highest, score$m);
    // @end
    let decay = exp(top - highest);
    top = highest;
    total *= decay;
    // @unroll m in 0..M
    let w$m = select(0.0, exp(score$m - highest), key$m);
    total += w$m;
    // @end
    let last = select(1.0, select(0.0, 1.0 / total, total > 0.0), j0 + M >= end);
    for (var g = 0u; g < params.D; g++) {
      var o = E();
      if (j0 > s.first) { o = decay * out[q_at + g]; }
      // @unroll m in 0..M
      o += w$m * v[at$m + g];
      // @end
      out[q_at + g] = last * o;
    }
  }
  if (s.first >= end) {
    for (var g = 0u; g < params.D; g++) { out[q_at + g] = E(); }
  }
  lse_out[unit] = select(0.0, top + log(total), total > 0.0);
}

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.tokens * params.A) { return; }
  let s = span_of(unit, 0u, params.B + 1u);
  var end = s.end;
  if (CAUSAL == 1u) { end = min(end, s.first + s.t - index[s.row] + 1u); }
  let q_at = unit * params.D;
  for (var g = 0u; g < params.D; g++) { d[q_at + g] = E(); }
  for (var j0 = s.first; j0 < end; j0 += M) {
    // @unroll m in 0..M
    let j$m = min(j0 + $(m)u, end - 1u);
    let key$m = (j0 + $(m)u < end) & is_key(j$m);
    let at$m = (j$m * params.A + s.a) * params.D;
    var dot$m = 0.0;
    var along$m = 0.0;
    // @end
    for (var g = 0u; g < params.D; g++) {
      let own = q[q_at + g];
      let given = dout[q_at + g];
      // @unroll m in 0..M
      dot$m += inner(own, k[at$m + g]);
      along$m += inner(given, v[at$m + g]);
      // @end
    }
    // @unroll m in 0..M
    let ds$m = select(0.0, params.scale * exp(params.scale * dot$m - lse[unit]) * (along$m - delta[unit]), key$m);
    // @end
    for (var g = 0u; g < params.D; g++) {
      var sum = d[q_at + g];
      // @unroll m in 0..M
      sum += ds$m * k[at$m + g];
      // @end
      d[q_at + g] = sum;
    }
  }
}

@compute @workgroup_size(WG)
fn backward_k(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.tokens * params.A) { return; }
  let s = span_of(unit, params.B + 1u, 0u);
  var first = s.first;
  if (CAUSAL == 1u) { first = min(s.end, first + s.t - index[params.B + 1u + s.row]); }
  let k_at = unit * params.D;
  for (var g = 0u; g < params.D; g++) { d[k_at + g] = E(); }
  if (!is_key(s.t)) { return; }
  for (var begin = first; begin < s.end; begin += M) {
    // @unroll m in 0..M
    let t$m = min(begin + $(m)u, s.end - 1u) * params.A + s.a;
    var dot$m = 0.0;
    var along$m = 0.0;
    // @end
    for (var g = 0u; g < params.D; g++) {
      let own = k[k_at + g];
      let value = v[k_at + g];
      // @unroll m in 0..M
      dot$m += inner(q[t$m * params.D + g], own);
      along$m += inner(dout[t$m * params.D + g], value);
      // @end
    }
    // @unroll m in 0..M
    let ds$m = select(0.0, params.scale * exp(params.scale * dot$m - lse[t$m]) * (along$m - delta[t$m]), begin + $(m)u < s.end);
    // @end
    for (var g = 0u; g < params.D; g++) {
      var sum = d[k_at + g];
      // @unroll m in 0..M
      sum += ds$m * q[t$m * params.D + g];
      // @end
      d[k_at + g] = sum;
    }
  }
}

// As backward_k; v and delta are not read, and dv is where they were.
@group(0) @binding(3) var<storage, read> index_v: array<u32>;
@group(0) @binding(4) var<storage, read> lse_v: array<f32>;
@group(0) @binding(5) var<storage, read> dout_v: array<E>;
@group(0) @binding(6) var<storage, read_write> dv: array<E>;

@compute @workgroup_size(WG)
fn backward_v(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.tokens * params.A) { return; }
  let t = unit / params.A;
  let a = unit - t * params.A;
  var row = 0u;
  var high = params.B;
  while (high - row > 1u) {
    let middle = (row + high) / 2u;
    let before = index_v[params.B + 1u + middle] <= t;
    row = select(row, middle, before);
    high = select(middle, high, before);
  }
  let end = index_v[row + 1u];
  var first = index_v[row];
  if (CAUSAL == 1u) { first = min(end, first + t - index_v[params.B + 1u + row]); }
  let k_at = unit * params.D;
  for (var g = 0u; g < params.D; g++) { dv[k_at + g] = E(); }
  if (MASK == 1u) {
    if (index_v[2u * params.B + 2u + t] == 0u) { return; }
  }
  for (var begin = first; begin < end; begin += M) {
    // @unroll m in 0..M
    let t$m = min(begin + $(m)u, end - 1u) * params.A + a;
    var dot$m = 0.0;
    // @end
    for (var g = 0u; g < params.D; g++) {
      let own = k[k_at + g];
      // @unroll m in 0..M
      dot$m += inner(q[t$m * params.D + g], own);
      // @end
    }
    // @unroll m in 0..M
    let w$m = select(0.0, exp(params.scale * dot$m - lse_v[t$m]), begin + $(m)u < end);
    // @end
    for (var g = 0u; g < params.D; g++) {
      var sum = dv[k_at + g];
      // @unroll m in 0..M
      sum += w$m * dout_v[t$m * params.D + g];
      // @end
      dv[k_at + g] = sum;
    }
  }
}
