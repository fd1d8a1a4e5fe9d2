// Blocks of columns from one matrix to another: concatenation, and its backward the other way round.
//   copy   source[rows, source_width] -> target[rows, target_width]   overwrites columns target_column … + width - 1 with
//          source_column … + width - 1; nothing else is touched
//   join   parts[rows, end - start] -> joined[rows, whole_width]   overwrites columns start … end - 1 of each part
//   split  whole[rows, whole_width] -> parts                       the other way round; overwrites the parts
// Widths and columns count E. copy: lanes invocations share a row, each takes every lanes-th E. join and split: an
// invocation takes one column of several rows, so that it looks for its part once; columns between the parts stay.

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const PARTS: u32 = 7; // with the whole matrix, a stage's 8 buffers

// @if WIDTH/4
alias E = vec4f;
// @else
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

struct Joint {
  rows: u32, whole_width: u32, first: u32, last: u32, // columns first … last - 1 hold the parts
  // @unroll k in 0..7
  start$k: u32, end$k: u32,
  // @end
}
@group(0) @binding(0) var<uniform> joint: Joint;
@group(0) @binding(1) var<storage, read_write> joined: array<E>;
@group(0) @binding(1) var<storage, read> whole: array<E>;
// @unroll k in 0..PARTS
@group(0) @binding($(k + 2)) var<storage, read> part$k: array<E>;
@group(0) @binding($(k + 2)) var<storage, read_write> dpart$k: array<E>;
// @end

@compute @workgroup_size(WG)
fn join(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = joint.first + wid.x * WG + local;
  if (c >= joint.last) { return; }
  // @unroll k in 0..PARTS
  if (c >= joint.start$k && c < joint.end$k) {
    for (var row = wid.y; row < joint.rows; row += count.y) {
      joined[row * joint.whole_width + c] = part$k[row * (joint.end$k - joint.start$k) + c - joint.start$k];
    }
  }
  // @end
}

@compute @workgroup_size(WG)
fn split(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = joint.first + wid.x * WG + local;
  if (c >= joint.last) { return; }
  // @unroll k in 0..PARTS
  if (c >= joint.start$k && c < joint.end$k) {
    for (var row = wid.y; row < joint.rows; row += count.y) {
      dpart$k[row * (joint.end$k - joint.start$k) + c - joint.start$k] = whole[row * joint.whole_width + c];
    }
  }
  // @end
}
