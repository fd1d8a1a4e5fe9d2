// Attention for GPUs: attention.wgsl has the formulas. A workgroup takes one head of N neighbouring tokens of a row, its own, and goes
// through the tokens that they meet by tiles of M: scores first, then what they add to the results, which stay in registers.
// attention_tile_packed.wgsl or attention_tile_crossed.wgsl stands before this text: where tokens lie, where results go, and whether
// attention is causal, so that a query meets the keys at its own place of the row and before.
// Four values (vec4f) are the unit. Of a tile a slice of G of them at a time passes through workgroup memory, own tokens in tile_a,
// those they meet in tile_b, loaded so that neighbouring invocations read neighbouring memory, with zeros past an end. An invocation
// has the R x 4 scores of R own tokens and four met ones, then R x W of the results of a slice; scores go to it through tile_a.
// SL slices make a head. Every weight, sum and draw of a score is one invocation's, and sums are in a fixed order.
// attention_tile_forward.wgsl or attention_tile_backward.wgsl follows. The online softmax (Milakov and Gimelshein 2018) and the backward pass follow FlashAttention-2 (Dao 2023).

const WG: u32 = 128; // N / R * CX
const N: u32 = 64; // a multiple of 4
const M: u32 = 32; // a multiple of 4
const R: u32 = 4; // divides N; 1, 2 or 4
const W: u32 = 1;
const SL: u32 = 2;
const CX: u32 = M / 4; // invocations side by side
const G: u32 = CX * W;
const ROW: u32 = G + 1; // one more, so that neighbouring rows begin in other banks
const SHARED: u32 = DROP * (1 - R / 4); // 1: a draw serves several invocations

var<workgroup> tile_a: array<vec4f, N * ROW>;
var<workgroup> tile_b: array<vec4f, M * ROW>; // row 4 x + c at c CX + x: neighbouring invocations read neighbouring rows
var<workgroup> parts: array<f32, N * CX>;

// Own tokens first … of the row start … end - 1, of head a, which meet tokens begin … until - 1.
struct Span { start: u32, end: u32, first: u32, a: u32, begin: u32, until: u32 }

struct Scores {
  // @unroll r in 0..R
  r$r: vec4f,
  // @end
}
struct Sums {
  // @unroll r in 0..R
  // @unroll w in 0..W
  r$(r)_$w: vec4f,
  // @end
  // @end
}

const QUERY: u32 = 0;
const KEY: u32 = 1;
const VALUE: u32 = 2;
const GRADIENT: u32 = 3;

fn fetch(what: u32, t: u32, a: u32, g: u32) -> vec4f {
  switch what {
    case QUERY: { return query(t, a, g); }
    case KEY: { return key(t, a, g); }
    case VALUE: { return value(t, a, g); }
    default: { return gradient(t, a, g); }
  }
}

// The slice from g0 on of all own tokens, to tile_a.
fn fill_own(what: u32, span: Span, g0: u32, local: u32) {
  for (var e = local; e < N * G; e += WG) {
    let t = span.first + e / G;
    let g = g0 + e % G;
    let v = fetch(what, min(t, span.end - 1u), span.a, min(g, params.D - 1u));
    tile_a[e / G * ROW + e % G] = select(vec4f(), v, t < span.end && g < params.D);
  }
}

// The same of the tokens met from t0 on, to tile_b.
fn fill_met(what: u32, span: Span, t0: u32, g0: u32, local: u32) {
  for (var e = local; e < M * G; e += WG) {
    let m = e / G;
    let g = g0 + e % G;
    let v = fetch(what, min(t0 + m, span.until - 1u), span.a, min(g, params.D - 1u));
    tile_b[(m % 4u * CX + m / 4u) * ROW + e % G] = select(vec4f(), v, t0 + m < span.until && g < params.D);
  }
}

fn inner4(sum: f32, a: vec4f, b: vec4f) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// The products of R own tokens with four met ones, over whole heads.
fn products(mine: u32, theirs: u32, span: Span, t0: u32, local: u32) -> Scores {
  // @unroll r in 0..R
  var s$r = vec4f();
  // @end
  for (var g0 = 0u; g0 < params.D; g0 += G) {
    fill_own(mine, span, g0, local);
    fill_met(theirs, span, t0, g0, local);
    workgroupBarrier();
    let vectors = min(G, params.D - g0);
    for (var g = 0u; g < vectors; g++) {
      // @unroll c in 0..4
      let b$c = tile_b[($(c)u * CX + local % CX) * ROW + g];
      // @end
      // @unroll r in 0..R
      let a$r = tile_a[(local / CX * R + $(r)u) * ROW + g];
      s$r = vec4f(inner4(s$r.x, a$r, b0), inner4(s$r.y, a$r, b1), inner4(s$r.z, a$r, b2), inner4(s$r.w, a$r, b3));
      // @end
    }
    workgroupBarrier();
  }
  return Scores(
    // @unroll r in 0..R
    s$r,
    // @end
  );
}

// An invocation's scores, to tile_a. Nobody reads it any more, or a barrier stands between.
fn hand(s: Scores, local: u32) {
  // @unroll r in 0..R
  tile_a[(local / CX * R + $(r)u) * ROW + local % CX] = s.r$r;
  // @end
}

// Adds the tokens met from t0 on, weighed by the scores in tile_a, to sums over the slice from g0 on.
fn weigh(what: u32, sums: Sums, span: Span, t0: u32, g0: u32, local: u32) -> Sums {
  fill_met(what, span, t0, g0, local);
  workgroupBarrier();
  // @unroll r in 0..R
  // @unroll w in 0..W
  var s$(r)_$w = sums.r$(r)_$w;
  // @end
  // @end
  let fours = min(CX, (span.until - t0 + 3u) / 4u);
  for (var m = 0u; m < fours; m++) {
    // @unroll r in 0..R
    let p$r = tile_a[(local / CX * R + $(r)u) * ROW + m];
    // @end
    // @unroll c in 0..4
    // @unroll w in 0..W
    let v$(c)_$w = tile_b[($(c)u * CX + m) * ROW + local % CX + $(w)u * CX];
    // @unroll r in 0..R
    s$(r)_$w = fma(vec4f(p$r[$c]), v$(c)_$w, s$(r)_$w);
    // @end
    // @end
    // @end
  }
  workgroupBarrier();
  return Sums(
    // @unroll r in 0..R
    // @unroll w in 0..W
    s$(r)_$w,
    // @end
    // @end
  );
}

// Of one own token the sum over the invocations side by side, each of which has put its part into `parts`.
fn whole(row: u32) -> f32 {
  var sum = 0.0;
  for (var x = 0u; x < CX; x++) { sum += parts[row * CX + x]; }
  return sum;
}

// Which of tokens j … j + 3 are keys, of a row that ends at `end`.
fn four_keys(j: u32, end: u32) -> vec4<bool> {
  let t = vec4u(j) + vec4u(0u, 1u, 2u, 3u);
  let at = min(t, vec4u(end - 1u));
  return (t < vec4u(end)) & vec4<bool>(is_key(at.x), is_key(at.y), is_key(at.z), is_key(at.w));
}

// Which of the keys j … j + 3 of a row that begins at `begin` a query at this place of its row meets.
fn seen(keys: vec4<bool>, j: u32, begin: u32, place: u32) -> vec4<bool> {
  if (!causal()) { return keys; }
  return keys & (vec4u(j - begin) + vec4u(0u, 1u, 2u, 3u) <= vec4u(place));
}

// The end of the keys that any of the own queries meets.
fn keys_end(span: Span) -> u32 {
  if (!causal()) { return span.until; }
  return min(span.until, span.begin + span.first - span.start + N);
}
