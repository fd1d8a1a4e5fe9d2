// Where the k largest values of lines of x[O, R, I] are, for GPUs: topk.wgsl's function, a workgroup a line, whose values its invocations
// share. n is O I.

const WG: u32 = 128;

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

// A value's key and where it is; at R there is none.
struct Found { key: u32, at: u32 }
fn before(a: Found, b: Found) -> bool {
  return a.at < params.R && (b.at >= params.R || a.key > b.key || (a.key == b.key && a.at < b.at));
}
var<workgroup> best: array<Found, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let line = group_index(wid, count);
  if (line >= params.n) { return; }
  let o = line / params.I;
  let i = line - o * params.I;
  let first = o * params.R * params.I + i;
  var last = Found(0xffffffffu, params.R);
  for (var j = 0u; j < params.k; j++) {
    var own = Found(0u, params.R);
    for (var r = local; r < params.R; r += WG) {
      let one = Found(key(x[first + r * params.I]), r);
      if ((j == 0u || before(last, one)) && before(one, own)) { own = one; }
    }
    best[local] = own;
    for (var left = WG / 2u; left > 0u; left /= 2u) {
      workgroupBarrier();
      if (local < left && before(best[local + left], best[local])) { best[local] = best[local + left]; }
    }
    workgroupBarrier();
    last = best[0];
    workgroupBarrier();
    if (local == 0u) { indices[(o * params.k + j) * params.I + i] = last.at; }
  }
}
