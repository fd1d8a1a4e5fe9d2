// One step of an optimizer over weights and their state, as the rule that stands before this text says: optimizer_adamw.wgsl
// and its like declare State (w and s0 … of an element, STATES beside w), Step (a step's numbers) and update(State, grad, Step).
// What changes from step to step is data: `history` holds one Step per optimizer step and parameter group, at
// (step - base) * groups + group.
//   dense  blocks of 64 elements in flat memory; `slots` names each block's group, SKIP leaves a block alone
//   rows   entries (row, first step to replay) of a table shard: replays the steps in which the row had no gradient, then,
//          with a gradient, takes the current one. Both call one function, so that a row which sat out k steps has the
//          same bits as one the dense kernel visited every step.
// w, s0, … are updated in place. g is multiplied by clip[0], the gradient-norm coefficient; where that is negative, gradients
// overflowed and count as zero (scaler.wgsl): infinity times anything would not.

const WG: u32 = 64;
const SKIP: u32 = 0xffffffffu;
const RUN: u32 = 16; // neighbouring vec4f an invocation of dense takes: a block, or 1 on GPUs

struct DenseParams { blocks: u32, groups: u32, step: u32 }
@group(0) @binding(0) var<uniform> dense_params: DenseParams;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> history: array<Step>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<vec4f>;
// @unroll k in 0..STATES
@group(0) @binding($(6 + k)) var<storage, read_write> s$k: array<vec4f>;
// @end

fn clipped(grad: vec4f, coefficient: f32) -> vec4f { return select(grad * coefficient, vec4f(), coefficient < 0.0); }

@compute @workgroup_size(WG)
fn dense(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  // @if RUN/16
  let block = unit;
  // @else
  let block = unit / (16u / RUN);
  // @end
  if (block >= dense_params.blocks) { return; }
  let slot = slots[block];
  if (slot == SKIP) { return; }
  let s = history[dense_params.step * dense_params.groups + slot];
  let c = clip[0];
  for (var j = 0u; j < RUN; j++) {
    let i = unit * RUN + j;
    var state: State;
    state.w = w[i];
    // @unroll k in 0..STATES
    state.s$k = s$k[i];
    // @end
    state = update(state, clipped(g[i], c), s);
    w[i] = state.w;
    // @unroll k in 0..STATES
    s$k[i] = state.s$k;
    // @end
  }
}

// `entries` holds pairs: row within the shard, first step to replay. Steps run from there up to, and without, `until`; then
// `with_grad` takes step `until` with the gradient of that entry. `width` counts R; `lanes` invocations share a row, each
// takes PER neighbouring R, which share the loads of a step; those past the row's end are its last one, taken again.
const WIDTH: u32 = 4; // 4: R is vec4f; 1: f32
const PER: u32 = 2;

// @if WIDTH/4
alias R = vec4f;
fn narrow(v: vec4f) -> R { return v; }
// @else
alias R = f32;
fn narrow(v: vec4f) -> R { return v.x; }
// @end

struct RowParams { n: u32, width: u32, lanes: u32, groups: u32, group: u32, until: u32, with_grad: u32, first_entry: u32 }
@group(0) @binding(0) var<uniform> row_params: RowParams;
@group(0) @binding(1) var<storage, read> row_g: array<R>;
@group(0) @binding(2) var<storage, read> entries: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> row_w: array<R>;
// @unroll k in 0..STATES
@group(0) @binding($(6 + k)) var<storage, read_write> row_s$k: array<R>;
// @end

@compute @workgroup_size(WG)
fn rows(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let n = unit / row_params.lanes;
  if (n >= row_params.n) { return; }
  let entry = entries[row_params.first_entry + n];
  let column = (unit - n * row_params.lanes) * PER;
  let from_row = (row_params.first_entry + n) * row_params.width;
  // @unroll j in 0..PER
  let c$j = min(column + $(j)u, row_params.width - 1u);
  let at$j = entry.x * row_params.width + c$j;
  var state$j: State;
  state$j.w = vec4f(row_w[at$j]);
  // @unroll k in 0..STATES
  state$j.s$k = vec4f(row_s$k[at$j]);
  // @end
  // @end
  // One loop for the steps to replay and for the one with a gradient: the update is long, and stands in the code once.
  let coefficient = clip[0];
  // @unroll j in 0..PER
  var grad$j = vec4f();
  // @end
  if (row_params.with_grad == 1u) {
    // @unroll j in 0..PER
    grad$j = clipped(vec4f(row_g[from_row + c$j]), coefficient);
    // @end
  }
  for (var t = entry.y; t < row_params.until + row_params.with_grad; t++) {
    let s = history[t * row_params.groups + row_params.group];
    // @unroll j in 0..PER
    state$j = update(state$j, select(vec4f(), grad$j, t == row_params.until), s);
    // @end
  }
  // @unroll j in 0..PER
  row_w[at$j] = narrow(state$j.w);
  // @unroll k in 0..STATES
  row_s$k[at$j] = narrow(state$j.s$k);
  // @end
  // @end
}
