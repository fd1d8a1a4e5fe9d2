// Fills out[n] with random numbers: element i of the stream comes from words of philox(counter [i / 4, 0, 0, 2], key
// [seed, stream]). `first` is the stream's group of four at which out begins, so shards continue one stream.
//   uniform  low + (high - low) u                       u in [0, 1), the word's upper 24 bits
//   normal   mean + std sqrt(-2 ln v) (cos, sin)(2 pi u)  v in (0, 1]; Box and Muller 1958, words 0, 1 and 2, 3 in pairs
// WGSL lets log be wrong by 2^-21 near 1, and so be above 0; of sine and cosine it says nothing beyond pi: with CENTRED, u above 1/2
// counts as u - 1.
// Nothing is written past n. philox.wgsl stands before this text.

const WG: u32 = 64;
const CENTRED: u32 = 0; // 1: angles from -pi to pi

struct Params { n: u32, first: u32, a: f32, b: f32, seed: u32, stream: u32 }
@group(0) @binding(0) var<uniform> params: Params; // a, b: low, high or mean, std
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

fn words(i: u32) -> vec4u {
  return philox4x32(vec4u(params.first + i, 0u, 0u, 2u), vec2u(params.seed, params.stream));
}

fn store(i: u32, v: vec4f) {
  // @unroll q in 0..4
  if (i * 4u + $(q)u < params.n) { out[i * 4u + $(q)u] = v[$q]; }
  // @end
}

@compute @workgroup_size(WG)
fn uniform_fill(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i * 4u >= params.n) { return; }
  let u = vec4f(words(i) >> vec4u(8u)) * exp2(-24.0);
  store(i, params.a + (params.b - params.a) * u);
}

@compute @workgroup_size(WG)
fn normal_fill(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i * 4u >= params.n) { return; }
  let w = vec4f(words(i) >> vec4u(8u));
  let radius = sqrt(max(vec2f(), -2.0 * log((w.xz + 1.0) * exp2(-24.0))));
  // @if CENTRED
  let turn = select(w.yw, w.yw - 16777216.0, w.yw > vec2f(8388608.0));
  // @else
  let turn = w.yw;
  // @end
  let angle = 6.2831853 * exp2(-24.0) * turn;
  store(i, params.a + params.b * vec4f(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y)));
}
