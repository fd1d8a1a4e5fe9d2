// Attention over long packed rows on software adapters with subgroups: attention.wgsl has the formulas. The scores of some rows and heads,
// units of `stride` x `stride` floats, lie in memory between two products, each by tiles of R rows in the registers of a subgroup, as in
// matmul_subgroup.wgsl: lanes own columns, load rows and hand them round.
//   scores  SCORE 0: s = scale q·k, -3e38 for what is no key, and each query's largest, top
//           SCORE 1: w = exp(scale q·k - lse), 0 for what is no key
//           SCORE 2: over w: ds = scale w (f dout·v - delta), and f w in place of w where there is dropout
//   weigh   EXP: out = sum f exp(s - top) v / total, lse = top + log(total), total = sum exp(s - top)
//           else dq = sum ds k, and with T, summed over queries, dk = sum ds q, dv = sum f w dout
//   deltas  delta = dout·out
// One subgroup per workgroup, no barrier. Tokens past an edge are the last one again and are not stored; keys from a row's end to the next
// multiple of four weigh nothing. A row longer than `stride` comes out as NaN. philox.wgsl and storage.wgsl stand before this text.
enable subgroups;

const WG: u32 = 8; // SG
const SG: u32 = 8;
const R: u32 = 32; // 4 SG
const C: u32 = 2; // vectors of columns a lane owns: keys in scores, values of a head in weigh
const DROP: u32 = 0;
const SCORE: u32 = 0;
const EXP: u32 = 0;
const T: u32 = 0;

alias E = vec4f;

struct Params {
  A: u32, D: u32, unit: u32, units: u32, stride: u32, scale: f32, // D counts vectors of four, stride floats
  threshold: u32, keep: f32, seed: u32, layer: u32, step: u32,
  what: u32, // weighed: query, key or value of qkv, or 3: dout
  to: u32, // written: the same of dqkv, or 3: out
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> cu_seqlens: array<u32>;

// @if F16
alias Pair = u32;
fn pair(p: Pair) -> vec2f { return unpack2x16float(p); }
// @else
alias Pair = vec2f;
fn pair(p: Pair) -> vec2f { return p; }
// @end

fn factors(query: u32, block: u32) -> vec4f {
  let words = philox4x32(vec4u(query, block, params.step, 1u), vec2u(params.seed, params.layer));
  return select(vec4f(), vec4f(params.keep), words >= vec4u(params.threshold));
}

// Head a of a row, and the unit of memory that is its own.
struct Unit { start: u32, length: u32, a: u32, at: u32 }

fn unit_of(unit: u32) -> Unit {
  let b = (params.unit + unit) / params.A;
  let start = cu_seqlens[b];
  return Unit(start, cu_seqlens[b + 1u] - start, (params.unit + unit) % params.A, unit * params.stride * params.stride);
}

// Where part 0 to 2 of a token in qkv begins, or, part 3, a token in out and dout; counted in vectors.
fn place(part: u32, t: u32, a: u32) -> u32 {
  if (part == 3u) { return (t * params.A + a) * params.D; }
  return ((t * 3u + part) * params.A + a) * params.D;
}

@group(0) @binding(1) var<storage, read> pairs: array<Pair>;
@group(0) @binding(2) var<storage, read> key_mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> matrix: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> top_out: array<f32>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read> dout_pairs: array<Pair>;
@group(0) @binding(7) var<storage, read_write> ds_out: array<vec4f>;

@compute @workgroup_size(WG)
fn scores(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let tiles = (params.stride + R - 1u) / R;
  let index = group_index(wid, count);
  if (index / tiles >= params.units) { return; }
  let unit = unit_of(index / tiles);
  let m0 = index % tiles * R;
  let length = min(unit.length, params.stride);
  if (m0 >= length) { return; }
  let last = unit.start + length - 1u;
  // @unroll g in 0..R/SG
  let ra$g = 2u * place(SCORE / 2u * 3u, min(unit.start + m0 + $(g * SG)u + lane, last), unit.a);
  // @end
  // @unroll r in 0..R*(2-SCORE)/2*(1-SCORE)
  var top$r = -3.0e38;
  // @end
  for (var n0 = 0u; n0 < length; n0 += 4u * C * SG) {
    let n = n0 + 4u * lane; // this lane's keys are n + 4 SG g … + 3
    // @unroll v in 0..4*C
    let j$v = unit.start + n + $(v / 4 * 4 * SG + v % 4)u;
    let is$v = j$v <= last && key_mask[min(j$v, last)] != 0u;
    let cb$v = 2u * place(1u + SCORE / 2u, min(j$v, last), unit.a);
    // @unroll r in 0..R
    var s$(r)_$v = 0.0;
    // @end
    // @end
    for (var k = 0u; k < 2u * params.D; k++) {
      // @unroll v in 0..4*C
      let b$v = pair(pairs[cb$v + k]);
      // @end
      // @unroll g in 0..R/SG
      // @if SCORE/2
      let a$g = pair(dout_pairs[ra$g + k]);
      // @else
      let a$g = pair(pairs[ra$g + k]);
      // @end
      // @end
      // @unroll g in 0..R/SG
      // @unroll i in 0..SG
      let x$(g * SG + i) = subgroupBroadcast(a$g.x, $(i)u);
      let y$(g * SG + i) = subgroupBroadcast(a$g.y, $(i)u);
      // @unroll v in 0..4*C
      s$(g * SG + i)_$v = s$(g * SG + i)_$v + b$v.x * x$(g * SG + i) + b$v.y * y$(g * SG + i);
      // @end
      // @end
      // @end
    }
    // @unroll r in 0..R*(2-SCORE)/2*(1-SCORE)
    // @unroll v in 0..4*C
    s$(r)_$v = select(-3.0e38, params.scale * s$(r)_$v, is$v);
    top$r = max(top$r, s$(r)_$v);
    // @end
    // @end
    // @unroll g in 0..C
    let is4_$g = vec4<bool>(is$(4 * g), is$(4 * g + 1), is$(4 * g + 2), is$(4 * g + 3));
    // @end
    // Four rows at a time: a chain of selects finds them, which takes half as long as finding each alone.
    for (var r = 0u; r < min(R, length - m0); r += 4u) {
      // @unroll i in 0..4
      let query$i = m0 + r + $(i)u;
      let row$i = min(unit.start + query$i, last) * params.A + unit.a;
      // @unroll g in 0..C
      var v$(i)_$g = vec4f(s$(i)_$(4 * g), s$(i)_$(4 * g + 1), s$(i)_$(4 * g + 2), s$(i)_$(4 * g + 3));
      // @unroll q in 1..R/4
      v$(i)_$g = select(v$(i)_$g, vec4f(s$(4 * q + i)_$(4 * g), s$(4 * q + i)_$(4 * g + 1), s$(4 * q + i)_$(4 * g + 2), s$(4 * q + i)_$(4 * g + 3)), r == $(4 * q)u);
      // @end
      // @end
      // @end
      // @unroll i in 0..4
      if (query$i < length) {
        // @unroll g in 0..C
        if (n + $(4 * g * SG)u < params.stride) {
          let at = (unit.at + query$i * params.stride + n + $(4 * g * SG)u) / 4u;
          // @if SCORE/2
          let w = matrix[at];
          // @if DROP
          let f = factors(row$i, (n + $(4 * g * SG)u) / 4u);
          matrix[at] = f * w;
          ds_out[at] = params.scale * w * (f * v$(i)_$g - delta[row$i]);
          // @else
          ds_out[at] = params.scale * w * (v$(i)_$g - delta[row$i]);
          // @end
          // @else
          // @if SCORE
          matrix[at] = select(vec4f(), exp(params.scale * v$(i)_$g - lse[row$i]), is4_$g);
          // @else
          matrix[at] = v$(i)_$g;
          // @end
          // @end
        }
        // @end
      }
      // @end
    }
  }
  // @unroll r in 0..R*(2-SCORE)/2*(1-SCORE)
  let all$r = subgroupMax(top$r);
  if (lane == $(r % SG)u && m0 + $(r)u < length) { top_out[(unit.start + m0 + $(r)u) * params.A + unit.a] = all$r; }
  // @end
}

@group(0) @binding(1) var<storage, read> source: array<S>;
@group(0) @binding(2) var<storage, read> weights2: array<vec2f>;
@group(0) @binding(2) var<storage, read> weights4: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> result: array<S>;
@group(0) @binding(5) var<storage, read> tops: array<f32>;
@group(0) @binding(6) var<storage, read_write> lse_out: array<f32>;

@compute @workgroup_size(WG)
fn weigh(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let tiles_n = (params.D + C * SG - 1u) / (C * SG);
  let tiles_m = (params.stride + R - 1u) / R;
  let index = group_index(wid, count);
  let band = index / tiles_n;
  if (band / tiles_m >= params.units) { return; }
  let unit = unit_of(band / tiles_m);
  let length = unit.length;
  let m0 = band % tiles_m * R;
  let n = index % tiles_n * C * SG + lane; // this lane's vectors of columns are n + SG g
  if (m0 >= length) { return; }
  if (length > params.stride) {
    for (var t = m0 + lane; t < length; t += SG) {
      for (var g = 0u; g < params.D; g++) {
        result[place(params.to, unit.start + t, unit.a) + g] = keep(vec4f(bitcast<f32>(0x7fc00000u | length)));
      }
    }
    return;
  }
  let last = unit.start + length - 1u;
  // @if T
  let ra = unit.at / 4u + min(m0 / 4u + lane, params.stride / 4u - 1u);
  // @else
  // @unroll g in 0..R/SG
  let t$g = min(unit.start + m0 + $(g * SG)u + lane, last);
  let ra$g = (unit.at + (t$g - unit.start) * params.stride) / 2u;
  // @if EXP
  let top$g = tops[t$g * params.A + unit.a];
  var total$g = 0.0;
  // @end
  // @end
  // @end
  // @unroll g in 0..C
  let cb$g = min(n + $(g * SG)u, params.D - 1u);
  // @end
  // @unroll r in 0..R
  // @unroll v in 0..4*C
  var s$(r)_$v = 0.0;
  // @end
  // @end
  // A draw is for four keys: two rounds.
  // @if EXP*DROP
  for (var k0 = 0u; k0 < length; k0 += 4u) {
    // @unroll g in 0..R/SG
    let drawn$g = factors(t$g * params.A + unit.a, k0 / 4u);
    // @end
  for (var k = k0; k < k0 + 4u; k += 2u) {
    // @unroll g in 0..R/SG
    let f$g = select(drawn$g.zw, drawn$g.xy, k == k0);
    // @end
  // @else
  for (var k = 0u; k < length; k += 2u) { {
  // @end
    // @unroll q in 0..2
    let from$q = place(params.what, min(unit.start + k + $(q)u, last), unit.a);
    // @unroll g in 0..C
    let b$(q)_$g = load(source[from$q + cb$g]);
    // @end
    // @end
    // @if T
    // @unroll q in 0..2
    let w$q = select(vec4f(), weights4[ra + min(k + $(q)u, length - 1u) * (params.stride / 4u)], k + $(q)u < length);
    // @unroll g in 0..4
    let a$(g)_$q = w$q[$g];
    // @end
    // @end
    // @else
    // @unroll g in 0..R/SG
    let read$g = weights2[ra$g + min(k, params.stride - 2u) / 2u];
    // @if EXP
    let w$g = select(vec2f(), exp(read$g - top$g), (read$g > vec2f(-1.0e38)) & vec2<bool>(k < length));
    total$g += w$g.x + w$g.y;
    // @else
    let w$g = read$g;
    // @end
    // @if EXP*DROP
    let a$(g)_0 = w$g.x * f$g.x;
    let a$(g)_1 = w$g.y * f$g.y;
    // @else
    let a$(g)_0 = w$g.x;
    let a$(g)_1 = w$g.y;
    // @end
    // @end
    // @end
    // Row 4 i + g of the tile with T, else g SG + i, is what lane i loaded as its g-th.
    // @unroll g in 0..4
    // @unroll i in 0..SG
    let x$(g)_$i = subgroupBroadcast(a$(g)_0, $(i)u);
    let y$(g)_$i = subgroupBroadcast(a$(g)_1, $(i)u);
    // @unroll v in 0..4*C
    s$(g * SG + i + T * (4 * i + g - g * SG - i))_$v = s$(g * SG + i + T * (4 * i + g - g * SG - i))_$v
      + b0_$(v / 4)[$(v % 4)] * x$(g)_$i + b1_$(v / 4)[$(v % 4)] * y$(g)_$i;
    // @end
    // @end
    // @end
  } }
  // @if EXP
  // @unroll g in 0..R/SG
  let inverse$g = select(0.0, 1.0 / total$g, total$g > 0.0);
  // @unroll i in 0..SG
  let part$(g * SG + i) = subgroupBroadcast(inverse$g, $(i)u);
  // @unroll v in 0..4*C
  s$(g * SG + i)_$v *= part$(g * SG + i);
  // @end
  // @end
  if (index % tiles_n == 0u && m0 + $(g * SG)u + lane < length) {
    lse_out[t$g * params.A + unit.a] = select(0.0, top$g + log(total$g), total$g > 0.0);
  }
  // @end
  // @end
  for (var r = 0u; r < min(R, length - m0); r += 4u) {
    // @unroll i in 0..4
    // @unroll g in 0..C
    var v$(i)_$g = vec4f(s$(i)_$(4 * g), s$(i)_$(4 * g + 1), s$(i)_$(4 * g + 2), s$(i)_$(4 * g + 3));
    // @unroll q in 1..R/4
    v$(i)_$g = select(v$(i)_$g, vec4f(s$(4 * q + i)_$(4 * g), s$(4 * q + i)_$(4 * g + 1), s$(4 * q + i)_$(4 * g + 2), s$(4 * q + i)_$(4 * g + 3)), r == $(4 * q)u);
    // @end
    // @end
    // @end
    // @unroll i in 0..4
    if (m0 + r + $(i)u < length) {
      // @unroll g in 0..C
      if (n + $(g * SG)u < params.D) {
        result[place(params.to, unit.start + m0 + r + $(i)u, unit.a) + n + $(g * SG)u] = keep(v$(i)_$g);
      }
      // @end
    }
    // @end
  }
}

@group(0) @binding(1) var<storage, read> dout: array<S>;
@group(0) @binding(2) var<storage, read> out_in: array<S>;
@group(0) @binding(3) var<storage, read_write> delta_out: array<f32>;

@compute @workgroup_size(WG)
fn deltas(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.units) { return; }
  var sum = 0.0;
  for (var g = i * params.D; g < (i + 1u) * params.D; g++) { sum += dot(load(dout[g]), load(out_in[g])); }
  delta_out[i] = sum;
}
