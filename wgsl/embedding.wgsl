// Rows of tables, moved by id. H and lanes count E and invocations per row: an invocation takes every lanes-th E of its row.
//   forward   table, ids[n] -> out[n, H]   row ids[i] of the table, for the ids that this shard of it holds;
//             overwrites; with POSITION plus row position_ids[i] of a second table; with ADD adds to out instead
//   backward  dy[n, H], offsets[U + 1], positions -> grad[U, H]   sum of dy over each segment of positions, in its order;
//             overwrites, or adds with accumulate
//   scatter   source[n, H], map[n] -> target   adds row i to row map[i]; no entry of map twice
//   join      index, parts -> wide[n, whole]   of several tables at once: columns start … end - 1 of row i are row index[ids + i] of a part, for
//             the ids that this shard holds, or row i where ids is OWN; overwrites, and leaves all other columns
//   segments  dy[n, whole], index -> sums   backward of several at once, from their columns of dy: each part's offsets and positions stand in
//             index; overwrites
// With F16, out and dy are halves. storage.wgsl stands before this text.

const WG: u32 = 64;
const POSITION: u32 = 1;
const ADD: u32 = 0;
const AHEAD: u32 = 1; // rows of a segment that are loaded before they are added: 4 on GPUs, whose loads take long
const PARTS: u32 = 0; // of join and segments: at most 6, with index and the whole matrix a stage's 8 buffers
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
// @else
alias E = f32;
// @end

struct Params { n: u32, H: u32, lanes: u32, first_row: u32, rows: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<E>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<S>;

// @if POSITION
@group(0) @binding(4) var<storage, read> position_table: array<E>;
@group(0) @binding(5) var<storage, read> position_ids: array<u32>;
fn position_row(i: u32) -> u32 { return position_ids[i] * params.H; }
fn finished(v: E, at: u32, place: u32) -> E { return v + position_table[place]; }
// @else
fn position_row(i: u32) -> u32 { return 0u; }
fn finished(v: E, at: u32, place: u32) -> E {
  if (ADD == 1u) { return load(out[at]) + v; }
  return v;
}
// @end

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let i = unit / params.lanes;
  if (i >= params.n) { return; }
  let row = ids[i] - params.first_row; // below the shard it wraps to a large number
  if (row >= params.rows) { return; }
  let place = position_row(i);
  for (var c = unit - i * params.lanes; c < params.H; c += params.lanes) {
    let at = i * params.H + c;
    out[at] = keep(finished(table[row * params.H + c], at, place + c));
  }
}

@group(0) @binding(1) var<storage, read> dy: array<S>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> grad: array<E>;

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let u = unit / params.lanes;
  if (u >= params.n) { return; }
  let start = offsets[u];
  let end = offsets[u + 1u];
  // @if AHEAD/4
  for (var c = unit - u * params.lanes; c < params.H; c += params.lanes) {
    var total = select(E(), load(dy[positions[start] * params.H + c]), end > start);
    var k = start + 1u;
    for (; k + 4u <= end; k += 4u) {
      // @unroll j in 0..4
      let v$j = load(dy[positions[k + $(j)u] * params.H + c]);
      // @end
      total = (((total + v0) + v1) + v2) + v3;
    }
    for (; k < end; k++) { total += load(dy[positions[k] * params.H + c]); }
    if (params.accumulate == 1u) { total += grad[u * params.H + c]; }
    grad[u * params.H + c] = total;
  }
  // @else
  let any = end > start;
  let first = positions[start] * params.H; // most rows of a batch occur once
  for (var c = unit - u * params.lanes; c < params.H; c += params.lanes) {
    var total = select(E(), load(dy[first + c]), any);
    for (var k = start + 1u; k < end; k++) { total += load(dy[positions[k] * params.H + c]); }
    if (params.accumulate == 1u) { total += grad[u * params.H + c]; }
    grad[u * params.H + c] = total;
  }
  // @end
}

@group(0) @binding(2) var<storage, read> map: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<E>;

@compute @workgroup_size(WG)
fn scatter(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let i = unit / params.lanes;
  if (i >= params.n) { return; }
  let target_row = map[i] * params.H;
  for (var c = unit - i * params.lanes; c < params.H; c += params.lanes) {
    rows[target_row + c] += table[i * params.H + c];
  }
}

const OWN: u32 = 0xffffffffu;

struct Joint {
  n: u32, whole: u32, first: u32, last: u32, // columns first … last - 1 hold the parts
  // @unroll k in 0..6
  start$k: u32, end$k: u32, ids$k: u32, first_row$k: u32, rows$k: u32,
  // @end
}
@group(0) @binding(0) var<uniform> joint: Joint;
@group(0) @binding(1) var<storage, read_write> wide: array<E>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
// @unroll k in 0..PARTS
@group(0) @binding($(k + 3)) var<storage, read> part$k: array<E>;
@group(0) @binding($(k + 3)) var<storage, read_write> sum$k: array<E>;
// @end

@compute @workgroup_size(WG)
fn join(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let span = joint.last - joint.first;
  let i = unit / span;
  if (i >= joint.n) { return; }
  let c = joint.first + unit - i * span;
  // @unroll k in 0..PARTS
  if (c >= joint.start$k && c < joint.end$k) {
    var row = i;
    if (joint.ids$k != OWN) { row = index[joint.ids$k + i] - joint.first_row$k; }
    if (row < joint.rows$k) { wide[i * joint.whole + c] = part$k[row * (joint.end$k - joint.start$k) + c - joint.start$k]; }
  }
  // @end
}

struct Segments {
  whole: u32,
  // @unroll k in 0..6
  begin$k: u32, end$k: u32, // invocations of the part, one for each E of its result
  width$k: u32, column$k: u32, offsets$k: u32, positions$k: u32,
  // @end
}
@group(0) @binding(0) var<uniform> segs: Segments;

@compute @workgroup_size(WG)
fn segments(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  // @unroll k in 0..PARTS
  if (unit >= segs.begin$k && unit < segs.end$k) {
    let own = unit - segs.begin$k;
    let u = own / segs.width$k;
    let column = segs.column$k + own - u * segs.width$k;
    let start = segs.positions$k + index[segs.offsets$k + u];
    let end = segs.positions$k + index[segs.offsets$k + u + 1u];
    var total = select(E(), load(dy[index[start] * segs.whole + column]), end > start);
    var k = start + 1u;
    // @if AHEAD/4
    for (; k + 4u <= end; k += 4u) {
      // @unroll j in 0..4
      let v$j = load(dy[index[k + $(j)u] * segs.whole + column]);
      // @end
      total = (((total + v0) + v1) + v2) + v3;
    }
    // @end
    for (; k < end; k++) { total += load(dy[index[k] * segs.whole + column]); }
    sum$k[own] = total;
  }
  // @end
}
