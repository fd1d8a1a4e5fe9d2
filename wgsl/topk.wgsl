// Where the k largest values of each of the middle dimension's lines of x[O, R, I] are: indices[O, k, I], overwritten, the largest
// first. Of equal values the first comes first; NaN is the largest of all. n is O I, one invocation each.
// Source: torch.topk, torch.argmax.

const WG: u32 = 64;

struct Params { n: u32, R: u32, I: u32, k: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<u32>;

// A number that orders as the value does: both zeros are one, and all NaN.
fn key(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let size = bits & 0x7fffffffu;
  let ordered = select(bits | 0x80000000u, ~bits, bits > 0x7fffffffu);
  return select(select(ordered, 0x80000000u, size == 0u), 0xffffffffu, size > 0x7f800000u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let o = unit / params.I;
  let i = unit - o * params.I;
  let first = o * params.R * params.I + i;
  var last_key = 0xffffffffu;
  var last = 0u; // behind the one found before, in the order of the result
  for (var j = 0u; j < params.k; j++) {
    var best_key = 0u;
    var best = 0u;
    var found = false;
    for (var r = 0u; r < params.R; r++) {
      let own = key(x[first + r * params.I]);
      let after = j == 0u || own < last_key || (own == last_key && r > last);
      if (after && (!found || own > best_key)) {
        best_key = own;
        best = r;
        found = true;
      }
    }
    indices[(o * params.k + j) * params.I + i] = best;
    last_key = best_key;
    last = best;
  }
}
