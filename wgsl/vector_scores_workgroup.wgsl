// Scores of a query against rows of vectors, for GPUs: vector_scores.wgsl's function. LANES neighbouring invocations share a row and read
// neighbouring 16 bytes of it; each has ROWS rows on the way. What they add up passes through workgroup memory (group_sum.wgsl, which
// stands before this text).

const WG: u32 = 256;
const ROWS: u32 = 2; // as many as `of` names
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

// The product of 16 bytes of row `row` and the query's numbers at the same place; none behind the row's end.
fn product(row: u32, e: u32) -> f32 {
  let there = min(e, params.E - 1u);
  let v = vectors[row + there];
  // @if BYTES
  let some = (dot(query[there * 4u], value(v.x)) + dot(query[there * 4u + 1u], value(v.y)))
    + (dot(query[there * 4u + 2u], value(v.z)) + dot(query[there * 4u + 3u], value(v.w)));
  // @else
  let some = dot(query[there], v);
  // @end
  return select(0.0, some, e < params.E);
}

fn store(n: u32, sum: f32) {
  if (n < params.N) {
    // @if SCALED
    scores[params.first + n] = sum * scale[params.first + n];
    // @else
    scores[params.first + n] = sum;
    // @end
  }
}

@compute @workgroup_size(WG)
fn main(p: Place) {
  let n = group_index(p.wid, p.count) * (WG / LANES) * ROWS + p.local / LANES;
  // @unroll r in 0..ROWS
  let row$r = min(n + $(r)u * (WG / LANES), params.N - 1u) * params.E;
  // @end
  var sums = vec$(ROWS)f();
  for (var e = lane_of(p); e < params.E; e += 4u * LANES) {
    // @unroll r in 0..ROWS
    // @unroll j in 0..4
    let part$(r)_$j = product(row$r, e + $(j)u * LANES);
    // @end
    sums[$r] += (part$(r)_0 + part$(r)_1) + (part$(r)_2 + part$(r)_3);
    // @end
  }
  sums = group_sum$(ROWS)(p, sums);
  if (lane_of(p) == 0u) {
    // @unroll r in 0..ROWS
    store(n + $(r)u * (WG / LANES), sums[$r]);
    // @end
  }
}
