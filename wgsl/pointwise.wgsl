// Element by element with NumPy broadcasting: out[i] = value(place of i in each operand).
// The launcher puts two functions before this text, made of a row of the table in src/pointwise.ts:
//   f       the row's formula over the operands a, b, c (in a backward step dy and y too) and the numbers number_p() and number_q()
//   value   f of the operands, each read by get0, get1, … at its place, or a number
// n counts E. Dimensions are merged by the launcher where every operand lets them; d0 is the last and counts E. An operand's strides
// count E where it is read E by E, elements where one element (SPLATS) stands for the E beside each other. divide.wgsl stands before this
// text, and f16.wgsl where there are halves. out is overwritten; nothing past its last element is touched.

const WG: u32 = 256;
const PER: u32 = 4; // E per invocation; 1 on GPUs
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const INPUTS: u32 = 1; // operands in memory, at most 4
const RANK: u32 = 1; // dimensions after merging
const FLAT: u32 = 1; // every operand's place is the result's
const PLANE: u32 = 0; // 1 where RANK is 2
const FULLS: u32 = 1; // bit k: operand k is float32, read E by E
const HALVES: u32 = 0; // bit k: halves, four at a time
const SPLATS: u32 = 0; // bit k: one float32 for each E
const WORDS: u32 = 0; // bit k: uint32, read E by E; their value as a number
const WORD_SPLATS: u32 = 0; // bit k: one uint32 for each E
const OUT_HALF: u32 = 0; // out is halves, four at a time

// @if WIDTH/4
alias E = vec4f;
alias W = vec4u;
alias N = vec4i;
alias B = vec4<bool>;
// @else
alias E = f32;
alias W = u32;
alias N = i32;
alias B = bool;
// @end

struct Params {
  n: u32,
  p: u32, // the bits of a float32, as it may be infinite
  q: u32,
  // @unroll d in 0..RANK
  d$d: u32,
  // @unroll k in 0..INPUTS
  s$(k)_$d: u32,
  // @end
  // @end
}
@group(0) @binding(0) var<uniform> params: Params;
fn number_p() -> f32 { return bitcast<f32>(params.p); }
fn number_q() -> f32 { return bitcast<f32>(params.q); }

// @unroll k in 0..INPUTS
// @if FULLS/(1+k*(k*k+5)/6)%2
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<E>;
fn get$k(i: u32) -> E { return x$k[i]; }
// @end
// @if HALVES/(1+k*(k*k+5)/6)%2
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<vec2u>;
fn get$k(i: u32) -> E { return unpack4(x$k[i]); }
// @end
// @if SPLATS/(1+k*(k*k+5)/6)%2
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<f32>;
fn get$k(i: u32) -> E { return E(x$k[i]); }
// @end
// @if WORDS/(1+k*(k*k+5)/6)%2
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<W>;
fn get$k(i: u32) -> E { return E(x$k[i]); }
// @end
// @if WORD_SPLATS/(1+k*(k*k+5)/6)%2
@group(0) @binding($(k + 1)) var<storage, read> x$k: array<u32>;
fn get$k(i: u32) -> E { return E(f32(x$k[i])); }
// @end
// @end

// @if OUT_HALF
@group(0) @binding($(INPUTS + 1)) var<storage, read_write> out: array<vec2u>;
fn kept(v: E) -> vec2u { return pack4(v); }
// @else
@group(0) @binding($(INPUTS + 1)) var<storage, read_write> out: array<E>;
fn kept(v: E) -> E { return v; }
// @end

// A value by its bits: WGSL has no word for an infinity or a NaN, and a compiler may take a constant one for an error.
fn by_bits(bits: u32) -> E { return E(bitcast<f32>(bits | (params.n & 0u))); }
fn infinite() -> E { return by_bits(0x7f800000u); }
fn not_a_number() -> E { return by_bits(0x7fc00000u); }
// By bits too: compilers may take it for granted that x == x.
fn is_nan(x: E) -> B { return (bitcast<W>(x) & W(0x7fffffffu)) > W(0x7f800000u); }
// v, or x itself where that is NaN.
fn or_nan(v: E, x: E) -> E { return select(v, x, is_nan(x)); }
// 1 where true.
fn flag(yes: B) -> E { return select(E(), E(1.0), yes); }

fn exponential(x: E) -> E {
  // Adapters clamp what they take for too large, and lose a NaN.
  let v = select(exp(x), infinite(), x > E(88.7228394));
  return or_nan(select(v, E(), x < E(-103.972084)), x);
}

fn sigmoid(x: E) -> E {
  let e = exponential(-abs(x));
  let r = 1.0 / (1.0 + e);
  return select(r, e * r, x < E());
}

// log(1 + x) for -0.3 < x <= 1 as 2 atanh(x / (2 + x)), to the last bits however small x is.
fn log1p_series(x: E) -> E {
  let s = x / (2.0 + x);
  let z = s * s;
  let tail = z * (0.33333333 + z * (0.2 + z * (0.14285715 + z * (0.11111111 + z * (0.09090909 + z * (0.07692308 + z * 0.06666667))))));
  return 2.0 * (s + s * tail);
}

fn softplus(x: E) -> E { return or_nan(max(x, E()) + log1p_series(exponential(-abs(x))), x); }

// x = 2^k m for finite x > 0, with m between sqrt(1/2) and sqrt(2): k, and log(m). Source: fdlibm's e_logf.c.
struct Logarithm { k: E, log_m: E }
fn logarithm(x: E) -> Logarithm {
  let small = x < E(1.1754944e-38);
  let bits = bitcast<N>(select(x, x * 8388608.0, small));
  let k = (bits - N(0x3f3504f3)) >> W(23u);
  let f = bitcast<E>(bits - (k << W(23u))) - 1.0;
  let s = f / (2.0 + f);
  let z = s * s;
  let r = z * (0.66666662693 + z * (0.40000972152 + z * (0.28498786688 + z * 0.24279078841)));
  let h = 0.5 * f * f;
  return Logarithm(E(k) - select(E(), E(23.0), small), f - (h - s * (h + r)));
}

// Near 1, WGSL's own log may be wrong by 2^-21, which is all of it.
fn ln(x: E) -> E {
  let l = logarithm(x);
  let finite = l.k * 0.69313812256 + (l.log_m + l.k * 9.0580006145e-6);
  let negative = select(finite, not_a_number(), x < E());
  let zero = select(negative, -infinite(), x == E());
  return select(zero, x, is_nan(x) | (x >= infinite()));
}

fn log1p(x: E) -> E { return select(ln(1.0 + x), log1p_series(x), (x > E(-0.3)) & (x < E(0.5))); }

// Source: Cephes' tanhf.c. WGSL's own may overflow within.
fn hyperbolic_tangent(x: E) -> E {
  let z = x * x;
  let near = x + x * z * (-0.333332819422 + z * (0.133314422036 + z * (-0.0537397155531 + z * (0.0206390887954 - z * 0.00570498872745))));
  let far = 1.0 - 2.0 / (exponential(2.0 * abs(x)) + 1.0);
  return select(select(far, -far, x < E()), near, abs(x) < E(0.625));
}

fn expm1(x: E) -> E {
  let t = hyperbolic_tangent(0.5 * x);
  return select(exponential(x) - 1.0, 2.0 * t / (1.0 - t), abs(x) < E(1.0));
}

// 2^n for whole n; beyond what float32 holds, 0 or infinity.
fn two_to(n: E) -> E {
  let whole = N(clamp(n, E(-252.0), E(254.0)));
  let half = whole / N(2);
  return bitcast<E>((half + N(127)) << W(23u)) * bitcast<E>((whole - half + N(127)) << W(23u));
}

// a^b as C's powf has it: the exponent's whole part is kept apart, so that the error does not grow with it.
fn power(a: E, b: E) -> E {
  let size = abs(a);
  let l = logarithm(size);
  let log2_m = l.log_m * 1.44269504;
  let top = bitcast<E>(bitcast<W>(b) & W(0xfffff000u)); // 12 bits, times k exact
  let n = round(clamp(b * (l.k + log2_m), E(-1000.0), E(1000.0)));
  let rest = (top * l.k - n) + ((b - top) * l.k + b * log2_m);
  let finite = exp2(clamp(rest, E(-1.0), E(1.0))) * two_to(n);
  let up = (size > E(1.0)) == (b > E());
  let far = select(finite, select(E(), infinite(), up), (size >= infinite()) | (size == E()) | (abs(b) >= infinite()));
  let whole = floor(b) == b;
  let odd = whole & (abs(b) < E(16777216.0)) & (floor(b * 0.5) != b * 0.5);
  let negative = bitcast<N>(a) < N(0);
  let signed = select(far, -far, negative & odd);
  let real = select(signed, not_a_number(), negative & !whole & (a != E()) & (size < infinite()) & (abs(b) < infinite()));
  let known = select(real, not_a_number(), is_nan(a) | is_nan(b));
  return select(known, E(1.0), (b == E()) | (a == E(1.0)) | ((size == E(1.0)) & (abs(b) >= infinite())));
}

fn at(i: u32) {
  // @if FLAT
  // @unroll k in 0..4
  let place$k = i;
  // @end
  // @else
  // @unroll k in 0..4
  var place$k = 0u;
  // @end
  var rest = i;
  // @unroll d in 0..RANK-1
  let next$d = divide(rest, params.d$d);
  let c$d = rest - next$d * params.d$d;
  // @unroll k in 0..INPUTS
  place$k += c$d * params.s$(k)_$d;
  // @end
  rest = next$d;
  // @end
  // @unroll k in 0..INPUTS
  place$k += rest * params.s$(k)_$(RANK - 1);
  // @end
  // @end
  out[i] = kept(value(place0, place1, place2, place3));
}

// @if PLANE
// Place c of row r; the next one of an invocation is WG further.
fn in_plane(i: u32, r: u32, c: u32) {
  // @unroll k in 0..4
  var place$k = 0u;
  // @end
  // @unroll k in 0..INPUTS
  place$k = c * params.s$(k)_0 + r * params.s$(k)_1;
  // @end
  out[i] = kept(value(place0, place1, place2, place3));
}
// @end

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if (first - local + WG * PER <= params.n) {
    // @if PLANE
    // One quotient for all of an invocation's.
    let down = divide(WG, params.d0);
    let right = WG - down * params.d0;
    let r0 = divide(first, params.d0);
    let c0 = first - r0 * params.d0;
    // @unroll j in 0..PER
    in_plane(first + $(j)u * WG, r$j, c$j);
    let wraps$j = c$j + right >= params.d0;
    let r$(j + 1) = r$j + down + select(0u, 1u, wraps$j);
    let c$(j + 1) = c$j + right - select(0u, params.d0, wraps$j);
    // @end
    // @else
    // @unroll j in 0..PER
    at(first + $(j)u * WG);
    // @end
    // @end
  } else {
    for (var i = first; i < params.n; i += WG) { at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { at(i); }
  // @end
}
