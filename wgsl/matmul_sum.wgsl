// Adds up the parts of K that a matrix product left in parts[splits,M,N], in order, four columns per invocation.
// matmul_epilogue.wgsl stands before this text and finishes the sum.

const WG: u32 = 64;

@group(0) @binding(1) var<storage, read> parts4: array<vec4f>;
@group(0) @binding(1) var<storage, read> parts1: array<f32>;

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let N = params.N;
  let groups = (N + 3u) >> 2u;
  let index = invocation_index(wid, count, local, WG);
  let m = index / groups;
  let n = (index % groups) * 4u;
  if (m < params.M) {
    let size = params.M * N;
    var total = vec4f();
    for (var z = 0u; z < params.splits; z++) {
      let i = z * size + m * N;
      // @if C_4
      total += parts4[(i + n) >> 2u];
      // @end
      // @if C_1
      let last = N - 1u;
      total += vec4f(parts1[i + n], parts1[i + min(n + 1u, last)], parts1[i + min(n + 2u, last)], parts1[i + min(n + 3u, last)]);
      // @end
    }
    // @if BIAS
    total += bias_of(n);
    // @end
    store(total, 0u, m, n);
  }
}
