// Scores of a query against rows of vectors: vector_scores.wgsl's function, for software adapters with subgroups. The WG invocations of a
// workgroup are one subgroup and share a row, ROWS in turn, so that rows are read one after the other as a copy does, and keep their
// part of the query for all of them. No loop: in one, every load and every sum would be masked.

enable subgroups;

const WG: u32 = 8;
const ROWS: u32 = 8; // at most WG
const PIECES: u32 = 4; // of 16 bytes, that an invocation takes of a row
const BYTES: u32 = 0;
const SCALED: u32 = 0;

struct Params { N: u32, first: u32, E: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<vec4f>;
// @if BYTES
@group(0) @binding(2) var<storage, read> vectors: array<vec4u>;
// @else
@group(0) @binding(2) var<storage, read> vectors: array<vec4f>;
// @end
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
// @if SCALED
@group(0) @binding(4) var<storage, read> scale: array<f32>;
// @end

fn value(u: u32) -> vec4f { return unpack4x8unorm(u) * 2.0 - 1.0; }

// Zero behind the query's end.
fn part(e: u32, i: u32) -> vec4f { return select(vec4f(), query[min(e, params.E - 1u) * (1u + 3u * BYTES) + i], e < params.E); }

// @if WG/8
fn total(v: f32) -> f32 { return subgroupAdd(v); }
// @else
// A subgroup of four: SwiftShader swaps within it at less cost.
fn total(v: f32) -> f32 {
  let two = v + quadSwapX(v);
  return two + quadSwapY(two);
}
// @end

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let n = group_index(wid, count) * ROWS;
  // @unroll j in 0..PIECES
  let at$j = min($(j)u * WG + lane, params.E - 1u);
  // @if BYTES
  // @unroll i in 0..4
  let q$(j)_$i = part($(j)u * WG + lane, $(i)u);
  // @end
  // @else
  let q$j = part($(j)u * WG + lane, 0u);
  // @end
  // @end
  // @unroll r in 0..ROWS
  let row$r = min(n + $(r)u, params.N - 1u) * params.E;
  var sum$r = vec4f();
  // @unroll j in 0..PIECES
  // @if BYTES
  let v$(r)_$j = vectors[row$r + at$j];
  sum$r += value(v$(r)_$j.x) * q$(j)_0 + value(v$(r)_$j.y) * q$(j)_1 + value(v$(r)_$j.z) * q$(j)_2 + value(v$(r)_$j.w) * q$(j)_3;
  // @else
  sum$r += vectors[row$r + at$j] * q$j;
  // @end
  // @end
  // @end
  var own = 0.0;
  // @unroll r in 0..ROWS
  let s$r = total((sum$r.x + sum$r.y) + (sum$r.z + sum$r.w));
  own = select(own, s$r, lane == $(r)u);
  // @end
  if (lane < ROWS && n + lane < params.N) {
    let to = params.first + n + lane;
    // @if SCALED
    scores[to] = own * scale[to];
    // @else
    scores[to] = own;
    // @end
  }
}
