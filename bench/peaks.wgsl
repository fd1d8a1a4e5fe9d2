// What a device can do at most, for the benchmark.
//   chain  out[i] = the end of CHAINS chains of LENGTH multiply-adds, `repeats` times over
//   line   the same once, without a loop
//   copy   target[i] = source[i], UNROLL vec4 an invocation
//   empty  nothing, and `other` nothing by another pipeline
// Software adapters blend what a loop assigns with a mask once an iteration, so the chains run in locals and are
// assigned once. How many chains a device likes, and whether it keeps them in registers across a loop, differs.

const WG: u32 = 64;
const CHAINS: u32 = 8;
const LENGTH: u32 = 128;
const UNROLL: u32 = 8;

struct Params { n: u32, repeats: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> target_: array<vec4f>;

@compute @workgroup_size(WG)
fn chain(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  let x = f32(i & 1023u) * 0.001;
  let factor = 0.999 + x * 1e-6;
  // @unroll j in 0..CHAINS
  var sum$j = x + $j.0;
  // @end
  for (var r = 0u; r < params.repeats; r++) {
    // @unroll j in 0..CHAINS
    let t$(j)_0 = sum$j;
    // @end
    // @unroll k in 0..LENGTH
    // @unroll j in 0..CHAINS
    let t$(j)_$(k + 1) = fma(t$(j)_$k, factor, x);
    // @end
    // @end
    // @unroll j in 0..CHAINS
    sum$j = t$(j)_$(LENGTH);
    // @end
  }
  var total = 0.0;
  // @unroll j in 0..CHAINS
  total += sum$j;
  // @end
  if (i < params.n) { out[i] = total; }
}

@compute @workgroup_size(WG)
fn line(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  let x = f32(i & 1023u) * 0.001;
  let factor = 0.999 + x * 1e-6;
  // @unroll j in 0..CHAINS
  let t$(j)_0 = x + $j.0;
  // @end
  // @unroll k in 0..LENGTH
  // @unroll j in 0..CHAINS
  let t$(j)_$(k + 1) = fma(t$(j)_$k, factor, x);
  // @end
  // @end
  var total = 0.0;
  // @unroll j in 0..CHAINS
  total += t$(j)_$(LENGTH);
  // @end
  if (i < params.n) { out[i] = total; }
}

@compute @workgroup_size(WG)
fn copy(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group_index(wid, count) * WG * UNROLL + local;
  if (first + WG * (UNROLL - 1u) < params.n) {
    // @unroll k in 0..UNROLL
    let v$k = source[first + $k * WG];
    // @end
    // @unroll k in 0..UNROLL
    target_[first + $k * WG] = v$k;
    // @end
  }
}

@compute @workgroup_size(WG)
fn empty() {}

@compute @workgroup_size(WG)
fn other() {}
