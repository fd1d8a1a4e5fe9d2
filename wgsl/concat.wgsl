// A block of columns from one matrix to another: concatenation part by part, and its backward the other way round.
//   copy   source[rows, source_width] -> target[rows, target_width]   overwrites columns target_column … + width - 1 with
//          source_column … + width - 1; nothing else is touched
// Widths and columns count E; lanes invocations share a row, each takes every lanes-th E.

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @unroll one in 0..WIDTH/4
alias E = vec4f;
// @end
// @unroll one in WIDTH/4..1
alias E = f32;
// @end

struct Params {
  rows: u32, width: u32, lanes: u32,
  source_width: u32, source_column: u32, target_width: u32, target_column: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<E>;
@group(0) @binding(2) var<storage, read_write> copied: array<E>;

@compute @workgroup_size(WG)
fn copy(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let row = unit / params.lanes;
  if (row >= params.rows) { return; }
  let from_row = row * params.source_width + params.source_column;
  let to_row = row * params.target_width + params.target_column;
  for (var c = unit - row * params.lanes; c < params.width; c += params.lanes) {
    copied[to_row + c] = source[from_row + c];
  }
}
