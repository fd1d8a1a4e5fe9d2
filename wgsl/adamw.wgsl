// AdamW (Loshchilov and Hutter 2019), as torch.optim.AdamW computes it:
//   w = w * (1 - lr * weight_decay);  m = m + (g - m) * (1 - beta1);  v = beta2 * v + (1 - beta2) * g * g
//   w = w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// What changes from step to step is data: `history` holds one Step per optimizer step and parameter group, at
// (step - base) * groups + group.
//   dense  blocks of 64 elements in flat memory; `slots` names each block's group, SKIP leaves a block alone
//   rows   entries (row, first step to replay) of a table shard: replays the steps in which the row had no gradient, then,
//          with a gradient, takes the current one. Both call one function, so that a row which sat out k steps has the
//          same bits as one the dense kernel visited every step.
// w, m, v are updated in place. g is multiplied by clip[0], the gradient-norm coefficient.

const WG: u32 = 64;
const SKIP: u32 = 0xffffffffu;

struct Step { decay: f32, step_size: f32, inv_sqrt_bc2: f32, eps: f32, beta1: f32, one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32 }

struct DenseParams { blocks: u32, groups: u32, step: u32 }
@group(0) @binding(0) var<uniform> dense_params: DenseParams;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> history: array<Step>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> v: array<vec4f>;

struct State { w: vec4f, m: vec4f, v: vec4f }

fn update(old: State, grad: vec4f, s: Step) -> State {
  let m1 = old.m + (grad - old.m) * s.one_minus_beta1;
  let v1 = s.beta2 * old.v + s.one_minus_beta2 * grad * grad;
  let w1 = old.w * s.decay - s.step_size * m1 / (sqrt(v1) * s.inv_sqrt_bc2 + s.eps);
  return State(w1, m1, v1);
}

@compute @workgroup_size(WG)
fn dense(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let block = invocation_index(wid, count, local, WG);
  if (block >= dense_params.blocks) { return; }
  let slot = slots[block];
  if (slot == SKIP) { return; }
  let s = history[dense_params.step * dense_params.groups + slot];
  let c = clip[0];
  for (var j = 0u; j < 16u; j++) {
    let i = block * 16u + j;
    let next = update(State(w[i], m[i], v[i]), g[i] * c, s);
    w[i] = next.w;
    m[i] = next.m;
    v[i] = next.v;
  }
}

// One invocation takes four columns of one entry. `entries` holds pairs: row within the shard, first step to replay.
// Steps run from there up to, and without, `until`; then `with_grad` takes step `until` with the gradient of that entry.
struct RowParams { n: u32, width: u32, groups: u32, group: u32, until: u32, with_grad: u32, first_entry: u32 }
@group(0) @binding(0) var<uniform> row_params: RowParams;
@group(0) @binding(1) var<storage, read> row_g: array<f32>;
@group(0) @binding(2) var<storage, read> entries: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> row_w: array<f32>;
@group(0) @binding(6) var<storage, read_write> row_m: array<f32>;
@group(0) @binding(7) var<storage, read_write> row_v: array<f32>;

@compute @workgroup_size(WG)
fn rows(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let quads = (row_params.width + 3u) / 4u;
  let index = invocation_index(wid, count, local, WG);
  let n = index / quads;
  if (n >= row_params.n) { return; }
  let column = (index - n * quads) * 4u;
  let last = row_params.width - 1u - column; // columns past the row's end repeat its last one
  let lane = min(vec4u(0u, 1u, 2u, 3u), vec4u(last));
  let entry = entries[row_params.first_entry + n];
  let at = entry.x * row_params.width + column + lane;
  var state = State(
    vec4f(row_w[at.x], row_w[at.y], row_w[at.z], row_w[at.w]),
    vec4f(row_m[at.x], row_m[at.y], row_m[at.z], row_m[at.w]),
    vec4f(row_v[at.x], row_v[at.y], row_v[at.z], row_v[at.w]));
  for (var t = entry.y; t < row_params.until; t++) {
    state = update(state, vec4f(), history[t * row_params.groups + row_params.group]);
  }
  if (row_params.with_grad == 1u) {
    let from_row = (row_params.first_entry + n) * row_params.width + column + lane;
    let grad = vec4f(row_g[from_row.x], row_g[from_row.y], row_g[from_row.z], row_g[from_row.w]);
    state = update(state, grad * clip[0], history[row_params.until * row_params.groups + row_params.group]);
  }
  for (var j = 0u; j < 4u; j++) {
    if (j <= last) {
      row_w[at[j]] = state.w[j];
      row_m[at[j]] = state.m[j];
      row_v[at[j]] = state.v[j];
    }
  }
}
