// The mean of mean_pool.wgsl for GPUs: a workgroup has COLUMNS neighbouring E of a packed row's vector, and its invocations share the row's
// tokens.
//   mean  x, key_mask[T], cu_seqlens[B + 1]  -> out[B, H], counts[B]   overwrites; 0 of no tokens
// storage.wgsl and column_sum.wgsl stand before this text.

const WG: u32 = 256;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32, H: u32, lanes: u32, stride: u32, column: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read> cu_seqlens: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<E>;
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;

var<workgroup> kept: array<f32, SLICES>;

@compute @workgroup_size(WG)
fn mean(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let per_row = (params.H + COLUMNS - 1u) / COLUMNS;
  let group = group_index(wid, count);
  let b = group / per_row;
  if (b >= params.n) { return; }
  let c = (group - b * per_row) * COLUMNS + local % COLUMNS;
  let slice = local / COLUMNS;
  var total = E();
  var own = 0.0;
  if (c < params.H) {
    for (var t = cu_seqlens[b] + slice; t < cu_seqlens[b + 1u]; t += SLICES) {
      if (key_mask[t] != 0u) {
        total += load(x[t * params.H + c]);
        own += 1.0;
      }
    }
  }
  if (local % COLUMNS == 0u) { kept[slice] = own; }
  total = column_sum(local, total); // has a barrier
  if (local >= COLUMNS || c >= params.H) { return; }
  var all = 0.0;
  for (var s = 0u; s < SLICES; s++) { all += kept[s]; }
  out[b * params.stride + params.column + c] = total / max(all, 1.0);
  if (c == 0u) { counts[b] = all; }
}
