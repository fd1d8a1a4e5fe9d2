// Dynamic loss scaling (Micikevicius et al. 2018), as torch.amp.GradScaler does it, without reading anything back.
//   rescale  norm (of the scaled gradients), state, this step's history of each group
//           -> norm = norm / scale
//              coefficient = min(1, limit / (norm + 1e-6)) / scale, 1 / scale when limit is 0
//              history: each group's pending Step becomes what optimizer.wgsl reads, with bias corrections for the steps that
//              were taken: the rule before this text (optimizer_adamw.wgsl and its like) has `corrected` and `void_step`
//              state: a step is counted; after `interval` of them in a row the scale grows
// When the norm is not finite the step is void: the coefficient is -1, which stands for gradients of zero; history becomes the
// void step (nothing decays, nothing moves); the scale backs off and the skipped step is counted.

const WG: u32 = 1;

struct Scaler { scale: f32, growth: u32, taken: u32, skipped: u32 }

struct Params { step: u32, groups: u32, limit: f32, growth_factor: f32, backoff_factor: f32, interval: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> coefficient: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: Scaler;
@group(0) @binding(4) var<storage, read_write> history: array<Step>;

@compute @workgroup_size(WG)
fn rescale() {
  let scale = state.scale;
  let first = params.step * params.groups;
  if ((bitcast<u32>(norm[0]) & 0x7f800000u) == 0x7f800000u) {
    coefficient[0] = -1.0;
    for (var i = first; i < first + params.groups; i++) { history[i] = void_step(); }
    state.scale = scale * params.backoff_factor;
    state.growth = 0u;
    state.skipped++;
    return;
  }
  let length = norm[0] / scale;
  norm[0] = length;
  coefficient[0] = select(min(1.0, params.limit / (length + 1e-6)), 1.0, params.limit == 0.0) / scale;
  let t = f32(state.taken + 1u);
  for (var i = first; i < first + params.groups; i++) { history[i] = corrected(history[i], t); }
  state.taken++;
  state.growth++;
  if (state.growth == params.interval) {
    if (scale < 3.4e38 / params.growth_factor) { state.scale = scale * params.growth_factor; }
    state.growth = 0u;
  }
}
