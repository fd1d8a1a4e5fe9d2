// What attention_tile.wgsl takes of packed rows that attend to themselves; attention_packed.wgsl stands before this text.

const BACKWARD: u32 = 0; // 1: dout is bound
const GIVEN: u32 = 0; // delta is computed by backward_q

@group(0) @binding(4) var<storage, read_write> tile_out: array<S>;
@group(0) @binding(6) var<storage, read_write> tile_dqkv: array<S>;

fn query(t: u32, a: u32, g: u32) -> vec4f { return load(qkv[at(t, 0u, a) + g]); }
fn key(j: u32, a: u32, g: u32) -> vec4f { return load(qkv[at(j, 1u, a) + g]); }
fn value(j: u32, a: u32, g: u32) -> vec4f { return load(qkv[at(j, 2u, a) + g]); }
// @if BACKWARD
fn gradient(t: u32, a: u32, g: u32) -> vec4f { return load(dout[(t * params.A + a) * params.D + g]); }
// @else
fn gradient(t: u32, a: u32, g: u32) -> vec4f { return vec4f(); }
// @end
fn result(t: u32, a: u32, g: u32) -> vec4f { return load(out_in[(t * params.A + a) * params.D + g]); }
fn causal() -> bool { return false; }
fn is_key(j: u32) -> bool { return key_mask[j] != 0u; }
fn lse_of(t: u32, a: u32) -> f32 { return lse[t * params.A + a]; }
fn delta_of(t: u32, a: u32) -> f32 { return delta[t * params.A + a]; }
fn factors(words: vec4u) -> vec4f { return select(vec4f(), vec4f(params.keep), words >= vec4u(params.threshold)); }

fn store_out(t: u32, a: u32, g: u32, v: vec4f) { tile_out[(t * params.A + a) * params.D + g] = keep(v); }
fn store_dq(t: u32, a: u32, g: u32, v: vec4f) { tile_dqkv[at(t, 0u, a) + g] = keep(v); }
fn store_dk(j: u32, a: u32, g: u32, v: vec4f) { tile_dqkv[at(j, 1u, a) + g] = keep(v); }
fn store_dv(j: u32, a: u32, g: u32, v: vec4f) { tile_dqkv[at(j, 2u, a) + g] = keep(v); }
fn store_delta(i: u32, v: f32) { delta_out[i] = v; }

fn span_of(unit: u32) -> Span {
  let block = block_of(unit);
  return Span(block.start, block.end, block.first, block.a, block.start, block.end);
}
fn queries_of(unit: u32) -> Span { return span_of(unit); }
fn keys_of(unit: u32) -> Span { return span_of(unit); }
