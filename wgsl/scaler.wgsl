// Dynamic loss scaling (Micikevicius et al. 2018), as torch.amp.GradScaler does it, without reading anything back.
//   update  norm (of the scaled gradients), state, this step's history of each group
//           -> norm = norm / scale
//              coefficient = min(1, limit / (norm + 1e-6)) / scale, 1 / scale when limit is 0
//              history: each group's pending entry becomes what adamw.wgsl reads, with bias corrections for the steps
//              that were taken
//              state: a step is counted; after `interval` of them in a row the scale grows
// When the norm is not finite the step is void: the coefficient is -1, which stands for gradients of zero; history becomes the
// identity (nothing decays, nothing moves); the scale backs off and the skipped step is counted.
// A pending entry is [decay, lr, log beta2, eps, log beta1, 1 - beta1, beta2, 1 - beta2].

const WG: u32 = 1;

struct State { scale: f32, growth: u32, taken: u32, skipped: u32 }

struct Params { step: u32, groups: u32, limit: f32, growth_factor: f32, backoff_factor: f32, interval: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> coefficient: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: State;
@group(0) @binding(4) var<storage, read_write> history: array<f32>;

// 1 - exp(x) for x <= 0, with its relative precision kept where x is near 0: beta^t is close to 1 for hundreds of steps.
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  var series = 1.0;
  for (var i = 9u; i > 1u; i--) { series = 1.0 + x / f32(i) * series; }
  return -x * series;
}

@compute @workgroup_size(WG)
fn update() {
  let scale = state.scale;
  let first = params.step * params.groups * 8u;
  if ((bitcast<u32>(norm[0]) & 0x7f800000u) == 0x7f800000u) {
    coefficient[0] = -1.0;
    for (var i = first; i < first + params.groups * 8u; i += 8u) {
      history[i] = 1.0;
      history[i + 1u] = 0.0;
      history[i + 2u] = 1.0;
      history[i + 3u] = 1.0;
      history[i + 4u] = 1.0;
      history[i + 5u] = 0.0;
      history[i + 6u] = 1.0;
      history[i + 7u] = 0.0;
    }
    state.scale = scale * params.backoff_factor;
    state.growth = 0u;
    state.skipped++;
    return;
  }
  let length = norm[0] / scale;
  norm[0] = length;
  coefficient[0] = select(min(1.0, params.limit / (length + 1e-6)), 1.0, params.limit == 0.0) / scale;
  let t = f32(state.taken + 1u);
  for (var i = first; i < first + params.groups * 8u; i += 8u) {
    history[i + 1u] = history[i + 1u] / one_minus_exp(t * history[i + 4u]);
    history[i + 2u] = 1.0 / sqrt(one_minus_exp(t * history[i + 2u]));
    history[i + 4u] = 1.0 - history[i + 5u];
  }
  state.taken++;
  state.growth++;
  if (state.growth == params.interval) {
    if (scale < 3.4e38 / params.growth_factor) { state.scale = scale * params.growth_factor; }
    state.growth = 0u;
  }
}
