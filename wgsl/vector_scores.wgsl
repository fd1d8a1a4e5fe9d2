// Scores of a query against rows of vectors: scores[first + n] = the sum over e of query[e] vectors[n, e], times scale[first + n] where
// SCALED, as one over the vector's norm makes a cosine of it. Overwrites. Rows are padded with zeros to whole 16 bytes, E of them, and
// the query with zeros to as many numbers.
//   BYTES  a byte u a number, which is u 2/255 - 1; else float32
// An invocation takes ROWS rows, so that a part of the query is loaded once for all of them. For software adapters.
// Source of the bytes: TwinBERT, arXiv 2002.06275.

const WG: u32 = 64;
const ROWS: u32 = 4;
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let n = group_index(wid, count) * WG * ROWS + local;
  // @unroll r in 0..ROWS
  let row$r = min(n + $(r)u * WG, params.N - 1u) * params.E;
  var sum$r = 0.0;
  // @end
  for (var e = 0u; e < params.E; e++) {
    // @if BYTES
    // @unroll j in 0..4
    let q$j = query[e * 4u + $(j)u];
    // @end
    // @unroll r in 0..ROWS
    let v$r = vectors[row$r + e];
    sum$r += (dot(q0, value(v$r.x)) + dot(q1, value(v$r.y))) + (dot(q2, value(v$r.z)) + dot(q3, value(v$r.w)));
    // @end
    // @else
    let q = query[e];
    // @unroll r in 0..ROWS
    sum$r += dot(q, vectors[row$r + e]);
    // @end
    // @end
  }
  // @unroll r in 0..ROWS
  if (n + $(r)u * WG < params.N) {
    let to = params.first + n + $(r)u * WG;
    // @if SCALED
    scores[to] = sum$r * scale[to];
    // @else
    scores[to] = sum$r;
    // @end
  }
  // @end
}
