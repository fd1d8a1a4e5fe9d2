// What the kernels of attention over packed rows read and write; philox.wgsl and storage.wgsl stand before this text, and after it
// one that says what an invocation, a workgroup or a subgroup takes: attention.wgsl has the formulas.
//   qkv[T,3,A,D]  key_mask[T]  cu_seqlens[B+1]  out, dout[T,A,D]  lse, delta[T,A]  dqkv[T,3,A,D]; D counts E

const DROP: u32 = 0; // 1: attention dropout
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
fn inner(a: E, b: E) -> f32 { return dot(a, b); }
// @else
alias E = f32;
fn inner(a: E, b: E) -> f32 { return a * b; }
// @end

struct Params {
  B: u32, A: u32, D: u32, slots: u32, scale: f32,
  threshold: u32, keep: f32, seed: u32, layer: u32, step: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<S>;
@group(0) @binding(2) var<storage, read> key_mask: array<u32>;
@group(0) @binding(3) var<storage, read> cu_seqlens: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<E>;
@group(0) @binding(5) var<storage, read_write> lse_out: array<f32>;

@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> dout: array<S>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<E>;
@group(0) @binding(7) var<storage, read> out_in: array<S>;
@group(0) @binding(8) var<storage, read_write> delta_out: array<f32>;

@group(0) @binding(7) var<storage, read> delta: array<f32>;

// Where in qkv token t, part (0 query, 1 key, 2 value), head a begins.
fn at(t: u32, part: u32, a: u32) -> u32 { return ((t * 3u + part) * params.A + a) * params.D; }

// The dropout words of query row t A + a for the row's keys 4 block … 4 block + 3.
fn draw(query: u32, block: u32) -> vec4u {
  return philox4x32(vec4u(query, block, params.step, 1u), vec2u(params.seed, params.layer));
}
fn factor(word: u32) -> f32 { return select(0.0, params.keep, word >= params.threshold); }

// What an invocation works on: head a of tokens first … first + N - 1 of the row start … end - 1.
struct Block { start: u32, end: u32, first: u32, a: u32 }

// Row b has the slots from cu_seqlens[b] / N + b on: as many as it needs or one more, whose first is not below end.
fn block_of(unit: u32) -> Block {
  let slot = unit / params.A;
  var low = 0u;
  var high = params.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    let before = cu_seqlens[middle] / N + middle <= slot;
    low = select(low, middle, before);
    high = select(middle, high, before);
  }
  let start = cu_seqlens[low];
  return Block(start, cu_seqlens[low + 1u], start + (slot - start / N - low) * N, unit - slot * params.A);
}

