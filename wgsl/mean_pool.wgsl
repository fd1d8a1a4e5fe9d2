// One vector per packed row b, tokens cu_seqlens[b] … cu_seqlens[b + 1] - 1 of x[T, H]: the mean over the tokens with
// key_mask 1, or the first token. A row without any gives 0. H counts E.
//   mean            x, key_mask[T], cu_seqlens[B + 1]            -> out[B, H], counts[B]   overwrites
//   mean_backward   dy[B, H], key_mask, row_ids[T], counts       -> dx[T, H]               overwrites
//   first           x, cu_seqlens                                -> out[B, H]              overwrites
//   first_backward  dy, cu_seqlens, row_ids                      -> dx[T, H]               overwrites
// The B rows may be columns column … column + H - 1 of a matrix [B, stride], such as the input of an MLP.
// With F16, x and dx are halves. storage.wgsl stands before this text.
// Backward: lanes invocations share a token, each takes every lanes-th E.

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32, H: u32, lanes: u32, stride: u32, column: u32 } // n: B forward, T backward
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read> cu_seqlens: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<E>;
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;

@compute @workgroup_size(WG)
fn mean(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let b = unit / params.H;
  if (b >= params.n) { return; }
  let c = unit - b * params.H;
  let end = cu_seqlens[b + 1u];
  var total = E();
  var kept = 0.0;
  for (var t = cu_seqlens[b]; t < end; t++) {
    if (key_mask[t] != 0u) {
      total += load(x[t * params.H + c]);
      kept += 1.0;
    }
  }
  out[b * params.stride + params.column + c] = total / max(kept, 1.0);
  if (c == 0u) { counts[b] = kept; }
}

@compute @workgroup_size(WG)
fn first(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let b = unit / params.H;
  if (b >= params.n) { return; }
  let t = cu_seqlens[b];
  var v = E();
  if (t < cu_seqlens[b + 1u]) { v = load(x[t * params.H + unit - b * params.H]); }
  out[unit] = v;
}

@group(0) @binding(1) var<storage, read> dy: array<E>;
@group(0) @binding(2) var<storage, read> row_ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<S>;
@group(0) @binding(5) var<storage, read> counts_in: array<f32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;

@compute @workgroup_size(WG)
fn mean_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let t = unit / params.lanes;
  if (t >= params.n) { return; }
  let b = row_ids[t];
  let kept = key_mask[t] != 0u;
  let size = max(counts_in[b], 1.0);
  let from_row = b * params.stride + params.column;
  for (var c = unit - t * params.lanes; c < params.H; c += params.lanes) {
    dx[t * params.H + c] = keep(select(E(), dy[from_row + c] / size, kept));
  }
}

@compute @workgroup_size(WG)
fn first_backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let t = unit / params.lanes;
  if (t >= params.n) { return; }
  let b = row_ids[t];
  let leads = starts[b] == t;
  for (var c = unit - t * params.lanes; c < params.H; c += params.lanes) {
    dx[t * params.H + c] = keep(select(E(), dy[b * params.H + c], leads));
  }
}
