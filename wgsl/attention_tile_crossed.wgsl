// What attention_tile.wgsl takes of queries in one set of packed rows and keys in another: cross_attention.wgsl has the formulas and says
// what index holds. lse and delta of a query's head lie side by side, as cross_attention_stats.wgsl puts them.

const DROP: u32 = 0;
const GIVEN: u32 = 1; // delta is there before backward_q
const BACKWARD: u32 = 0; // 1: dout is bound

struct Params { B: u32, A: u32, D: u32, slots: u32, queries: u32, scale: f32, causal: u32, masked: u32 } // the last two 0 or 1
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read> index: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> lse_out: array<f32>;

@group(0) @binding(5) var<storage, read> stats: array<vec2f>;
@group(0) @binding(6) var<storage, read> dout: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4f>;

// Where head a of token t begins.
fn at(t: u32, a: u32) -> u32 { return (t * params.A + a) * params.D; }

fn query(t: u32, a: u32, g: u32) -> vec4f { return q[at(t, a) + g]; }
fn key(j: u32, a: u32, g: u32) -> vec4f { return k[at(j, a) + g]; }
fn value(j: u32, a: u32, g: u32) -> vec4f { return v[at(j, a) + g]; }
// @if BACKWARD
fn gradient(t: u32, a: u32, g: u32) -> vec4f { return dout[at(t, a) + g]; }
// @else
fn gradient(t: u32, a: u32, g: u32) -> vec4f { return vec4f(); }
// @end
fn causal() -> bool { return params.causal == 1u; }
fn is_key(j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return index[2u * params.B + 2u + j] != 0u;
}
fn lse_of(t: u32, a: u32) -> f32 { return stats[a * params.queries + t].x; }
fn delta_of(t: u32, a: u32) -> f32 { return stats[a * params.queries + t].y; }

fn store_out(t: u32, a: u32, g: u32, v: vec4f) { out[at(t, a) + g] = v; }
fn store_dq(t: u32, a: u32, g: u32, v: vec4f) { dq[at(t, a) + g] = v; }
fn store_dk(j: u32, a: u32, g: u32, v: vec4f) { dk[at(j, a) + g] = v; }
fn store_dv(j: u32, a: u32, g: u32, v: vec4f) { dv[at(j, a) + g] = v; }

// `own` and `other` are where the two sides' rows begin in index. Row b has the slots from index[own + b] / N + b on: as many as it needs
// or one more, whose first is not below end.
fn span_of(unit: u32, own: u32, other: u32) -> Span {
  let slot = unit / params.A;
  var low = 0u;
  var high = params.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    let before = index[own + middle] / N + middle <= slot;
    low = select(low, middle, before);
    high = select(middle, high, before);
  }
  let start = index[own + low];
  let first = start + (slot - start / N - low) * N;
  return Span(start, index[own + low + 1u], first, unit - slot * params.A, index[other + low], index[other + low + 1u]);
}
fn queries_of(unit: u32) -> Span { return span_of(unit, 0u, params.B + 1u); }
fn keys_of(unit: u32) -> Span { return span_of(unit, params.B + 1u, 0u); }
