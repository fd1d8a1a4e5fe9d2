// Scaled dot-product attention over packed rows: token t of row b = row_ids[t] attends to the tokens j of
// cu_seqlens[b] … cu_seqlens[b+1]-1 that are keys (key_mask 1).
//   qkv[T,3,A,D]  key_mask[T]  cu_seqlens[B+1]  row_ids[T]  out, dout[T,A,D]  lse, delta[T,A]  dqkv[T,3,A,D]
//   forward     s_j = scale q·k_j, lse = log sum exp s_j, out = sum f_j exp(s_j - lse) v_j
//   delta       delta = dout·out
//   backward_q  dq = scale sum ds_j k_j,  ds_j = w_j (f_j dout·v_j - delta),  w_j = exp(s_j - lse)
//   backward_kv dk = scale sum ds q,  dv = sum f w dout,  sums over the row's queries
// Everything is overwritten. f is the dropout factor, 0 or `keep`, drawn again in the backward pass: word j mod 4 of
// philox(counter [t A + a, j / 4, step, 1], key [seed, layer]), j counted within the row. Rows without a key: out 0, lse 0.
// Online softmax (Milakov and Gimelshein 2018) and saved lse as in FlashAttention-2 (Dao 2023): no S x S tensor. One
// invocation per token and head; each sum is done by one invocation in order, so there are no atomics.
// philox.wgsl stands before this text.

const WG: u32 = 32;
const D: u32 = 64;
const G: u32 = 16; // groups of four in D, the last one filled up with zeros
const BY4: u32 = 1; // 1: D is a multiple of 4 and rows are read as vec4f
const BY1: u32 = 0; // 1: it is not, and they are read as f32
const DROP: u32 = 0; // 1: attention dropout

struct Params { T: u32, A: u32, scale: f32, threshold: u32, keep: f32, seed: u32, layer: u32, step: u32, groups: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<LANES>;
@group(0) @binding(2) var<storage, read> key_mask: array<u32>;
@group(0) @binding(3) var<storage, read> cu_seqlens: array<u32>;
@group(0) @binding(4) var<storage, read> row_ids: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<LANES>;
@group(0) @binding(6) var<storage, read_write> lse_out: array<f32>;

@group(0) @binding(1) var<storage, read> out_in: array<LANES>;
@group(0) @binding(2) var<storage, read> dout_in: array<LANES>;
@group(0) @binding(3) var<storage, read_write> delta_out: array<f32>;

@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read> dout: array<LANES>;
@group(0) @binding(8) var<storage, read_write> dqkv: array<LANES>;

// @unroll on in 0..BY4
alias LANES = vec4f;
fn load_qkv(i: u32, g: u32) -> vec4f { return qkv[i / 4u + g]; }
fn load_dout(i: u32, g: u32) -> vec4f { return dout[i / 4u + g]; }
fn delta_pair(i: u32, g: u32) -> f32 { return dot(out_in[i / 4u + g], dout_in[i / 4u + g]); }
fn store_out(i: u32, g: u32, v: vec4f) { out[i / 4u + g] = v; }
fn store_dqkv(i: u32, g: u32, v: vec4f) { dqkv[i / 4u + g] = v; }
// @end
// @unroll on in 0..BY1
alias LANES = f32;
fn load_qkv(i: u32, g: u32) -> vec4f {
  var v = vec4f();
  // @unroll c in 0..4
  if (g * 4u + $(c)u < D) { v[$c] = qkv[i + g * 4u + $(c)u]; }
  // @end
  return v;
}
fn load_dout(i: u32, g: u32) -> vec4f {
  var v = vec4f();
  // @unroll c in 0..4
  if (g * 4u + $(c)u < D) { v[$c] = dout[i + g * 4u + $(c)u]; }
  // @end
  return v;
}
fn delta_pair(i: u32, g: u32) -> f32 {
  var sum = 0.0;
  // @unroll c in 0..4
  if (g * 4u + $(c)u < D) { sum += out_in[i + g * 4u + $(c)u] * dout_in[i + g * 4u + $(c)u]; }
  // @end
  return sum;
}
fn store_out(i: u32, g: u32, v: vec4f) {
  // @unroll c in 0..4
  if (g * 4u + $(c)u < D) { out[i + g * 4u + $(c)u] = v[$c]; }
  // @end
}
fn store_dqkv(i: u32, g: u32, v: vec4f) {
  // @unroll c in 0..4
  if (g * 4u + $(c)u < D) { dqkv[i + g * 4u + $(c)u] = v[$c]; }
  // @end
}
// @end

// Where in qkv token t, part (0 query, 1 key, 2 value), head a begins.
fn at(t: u32, part: u32, a: u32) -> u32 { return ((t * 3u + part) * params.A + a) * D; }

// The dropout words of query row t A + a for the row's keys 4 block … 4 block + 3.
fn draw(query: u32, block: u32) -> vec4u {
  return philox4x32(vec4u(query, block, params.step, 1u), vec2u(params.seed, params.layer));
}
fn factor(word: u32) -> f32 { return select(0.0, params.keep, word >= params.threshold); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.T * params.A) { return; }
  let t = i / params.A;
  let a = i % params.A;
  let start = cu_seqlens[row_ids[t]];
  let end = cu_seqlens[row_ids[t] + 1u];
  // @unroll g in 0..G
  var q$g = vec4f();
  var o$g = vec4f();
  // @end
  for (var g = 0u; g < params.groups; g++) {
    let q = load_qkv(at(t, 0u, a), g) * params.scale;
    // @unroll h in 0..G
    q$h = select(q$h, q, g == $(h)u);
    // @end
  }
  var top = -3.0e38; // largest score so far
  var total = 0.0; // sum of exp(score - top)
  for (var j4 = start; j4 < end; j4 += 4u) {
    // @unroll on in 0..DROP
    var words = draw(i, (j4 - start) / 4u);
    // @end
    for (var j = j4; j < min(j4 + 4u, end); j++) {
      let k = at(j, 1u, a);
      let v = at(j, 2u, a);
      let score = 0.0
      // @unroll g in 0..G
        + dot(q$g, load_qkv(k, $(g)u))
      // @end
      ;
      let key = key_mask[j] != 0u;
      let e = exp(-abs(score - top));
      let higher = key && score > top;
      let decay = select(1.0, e, higher);
      let w = select(0.0, select(e, 1.0, higher), key);
      top = select(top, score, higher);
      total = total * decay + w;
      // @unroll on in 0..1-DROP
      let fw = w;
      // @end
      // @unroll on in 0..DROP
      let fw = w * factor(words.x);
      words = words.yzwx;
      // @end
      // @unroll g in 0..G
      o$g = o$g * decay + fw * load_qkv(v, $(g)u);
      // @end
    }
  }
  let any = total > 0.0;
  let inverse = select(0.0, 1.0 / total, any);
  lse_out[i] = select(0.0, top + log(total), any);
  for (var g = 0u; g < params.groups; g++) {
    var o = o0;
    // @unroll h in 1..G
    o = select(o, o$h, g == $(h)u);
    // @end
    store_out(i * D, g, o * inverse);
  }
}

@compute @workgroup_size(WG)
fn sum_delta(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.T * params.A) { return; }
  var sum = 0.0;
  for (var g = 0u; g < params.groups; g++) { sum += delta_pair(i * D, g); }
  delta_out[i] = sum;
}

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.T * params.A) { return; }
  let t = i / params.A;
  let a = i % params.A;
  let start = cu_seqlens[row_ids[t]];
  let end = cu_seqlens[row_ids[t] + 1u];
  let log_sum = lse[i];
  let my_delta = delta[i];
  // @unroll g in 0..G
  var q$g = vec4f();
  var dy$g = vec4f();
  var dq$g = vec4f();
  // @end
  for (var g = 0u; g < params.groups; g++) {
    let q = load_qkv(at(t, 0u, a), g) * params.scale;
    let dy = load_dout(i * D, g);
    // @unroll h in 0..G
    q$h = select(q$h, q, g == $(h)u);
    dy$h = select(dy$h, dy, g == $(h)u);
    // @end
  }
  for (var j4 = start; j4 < end; j4 += 4u) {
    // @unroll on in 0..DROP
    var words = draw(i, (j4 - start) / 4u);
    // @end
    for (var j = j4; j < min(j4 + 4u, end); j++) {
      let k = at(j, 1u, a);
      let v = at(j, 2u, a);
      // @unroll g in 0..G
      let k$g = load_qkv(k, $(g)u);
      // @end
      let score = 0.0
      // @unroll g in 0..G
        + dot(q$g, k$g)
      // @end
      ;
      let dweight = 0.0
      // @unroll g in 0..G
        + dot(dy$g, load_qkv(v, $(g)u))
      // @end
      ;
      let w = select(0.0, exp(score - log_sum), key_mask[j] != 0u);
      // @unroll on in 0..1-DROP
      let ds = w * (dweight - my_delta);
      // @end
      // @unroll on in 0..DROP
      let ds = w * (factor(words.x) * dweight - my_delta);
      words = words.yzwx;
      // @end
      // @unroll g in 0..G
      dq$g = dq$g + ds * k$g;
      // @end
    }
  }
  for (var g = 0u; g < params.groups; g++) {
    var dq = dq0;
    // @unroll h in 1..G
    dq = select(dq, dq$h, g == $(h)u);
    // @end
    store_dqkv(at(t, 0u, a), g, dq * params.scale);
  }
}

@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.T * params.A) { return; }
  let j = i / params.A;
  let a = i % params.A;
  let start = cu_seqlens[row_ids[j]];
  let end = select(start, cu_seqlens[row_ids[j] + 1u], key_mask[j] != 0u);
  // @unroll g in 0..G
  var k$g = vec4f();
  var v$g = vec4f();
  var dk$g = vec4f();
  var dv$g = vec4f();
  // @end
  for (var g = 0u; g < params.groups; g++) {
    let k = load_qkv(at(j, 1u, a), g) * params.scale;
    let v = load_qkv(at(j, 2u, a), g);
    // @unroll h in 0..G
    k$h = select(k$h, k, g == $(h)u);
    v$h = select(v$h, v, g == $(h)u);
    // @end
  }
  for (var t = start; t < end; t++) {
    let row = t * params.A + a;
    let q = at(t, 0u, a);
    // @unroll g in 0..G
    let q$g = load_qkv(q, $(g)u);
    let dy$g = load_dout(row * D, $(g)u);
    // @end
    let score = 0.0
    // @unroll g in 0..G
      + dot(q$g, k$g)
    // @end
    ;
    let dweight = 0.0
    // @unroll g in 0..G
      + dot(dy$g, v$g)
    // @end
    ;
    let w = exp(score - lse[row]);
    // @unroll on in 0..1-DROP
    let f = 1.0;
    // @end
    // @unroll on in 0..DROP
    let f = factor(draw(row, (j - start) / 4u)[(j - start) % 4u]);
    // @end
    let ds = w * (f * dweight - delta[row]);
    let fw = f * w;
    // @unroll g in 0..G
    dk$g = dk$g + ds * q$g;
    dv$g = dv$g + fw * dy$g;
    // @end
  }
  for (var g = 0u; g < params.groups; g++) {
    var dk = dk0;
    var dv = dv0;
    // @unroll h in 1..G
    dk = select(dk, dk$h, g == $(h)u);
    dv = select(dv, dv$h, g == $(h)u);
    // @end
    store_dqkv(at(j, 1u, a), g, dk * params.scale);
    store_dqkv(at(j, 2u, a), g, dv);
  }
}
