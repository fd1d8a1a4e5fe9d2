enable f16;
// The chains of peaks.wgsl in f16: pairs, since GPUs compute two halves at once where they compute f16 faster at all.

const WG: u32 = 64;
const CHAINS: u32 = 8;
const LENGTH: u32 = 128;

struct Params { n: u32, repeats: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn chain(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  let x = vec2<f16>(f16(f32(i & 1023u) * 0.001), 0.5h);
  let factor = vec2<f16>(0.999h) - x * 0.001h;
  // @unroll j in 0..CHAINS
  var sum$j = x + vec2<f16>($j.0h);
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
  var total = vec2<f16>(0.0h);
  // @unroll j in 0..CHAINS
  total += sum$j;
  // @end
  if (i < params.n) { out[i] = f32(total.x) + f32(total.y); }
}

@compute @workgroup_size(WG)
fn line(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  let x = vec2<f16>(f16(f32(i & 1023u) * 0.001), 0.5h);
  let factor = vec2<f16>(0.999h) - x * 0.001h;
  // @unroll j in 0..CHAINS
  let t$(j)_0 = x + vec2<f16>($j.0h);
  // @end
  // @unroll k in 0..LENGTH
  // @unroll j in 0..CHAINS
  let t$(j)_$(k + 1) = fma(t$(j)_$k, factor, x);
  // @end
  // @end
  var total = vec2<f16>(0.0h);
  // @unroll j in 0..CHAINS
  total += t$(j)_$(LENGTH);
  // @end
  if (i < params.n) { out[i] = f32(total.x) + f32(total.y); }
}
