// Inverted dropout: y[i] = x[i] scale where word i mod 4 of philox(counter [i / 4, 0, step, 0], key [seed, layer]) is at
// least `threshold`, else 0. scale = 1/(1-p), threshold = round(p 2^32).
//   x[n] -> y[n]  overwrites;  the backward pass is the same on dy
// philox.wgsl and storage.wgsl stand before this text. Elements are taken four at a time; the last group may run into the padding.

const WG: u32 = 256;
const PER: u32 = 2; // groups of four per invocation; 1 on GPUs

alias E = vec4f;

struct Params { n: u32, threshold: u32, scale: f32, seed: u32, layer: u32, step: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> y: array<S>;

fn dropout_at(i: u32) {
  let words = philox4x32(vec4u(i, 0u, params.step, 0u), vec2u(params.seed, params.layer));
  y[i] = keep(select(E(), load(x[i]) * params.scale, words >= vec4u(params.threshold)));
}

@compute @workgroup_size(WG)
fn dropout(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  // @if PER-1
  let first = group_index(wid, count) * WG * PER + local;
  if ((first - local + WG * PER) * 4u <= params.n) {
    // @unroll j in 0..PER
    dropout_at(first + $(j)u * WG);
    // @end
  } else {
    for (var i = first; i * 4u < params.n; i += WG) { dropout_at(i); }
  }
  // @else
  let i = invocation_index(wid, count, local, WG);
  if (i * 4u < params.n) { dropout_at(i); }
  // @end
}
