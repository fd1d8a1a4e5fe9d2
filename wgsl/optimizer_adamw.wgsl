// AdamW (Loshchilov and Hutter 2019), as torch.optim.AdamW computes it; s0 is exp_avg, s1 is exp_avg_sq:
//   w = w * (1 - lr * weight_decay);  s0 = s0 + (g - s0) * (1 - beta1);  s1 = beta2 * s1 + (1 - beta2) * g * g
//   w = w - lr / (1 - beta1^t) * s0 / (sqrt(s1) / sqrt(1 - beta2^t) + eps)
// A rule of optimizer.wgsl and scaler.wgsl: it stands before their text, behind one_minus_exp.wgsl. multiply_add.wgsl stands before all.

const STATES: u32 = 2;
struct State { w: vec4f, s0: vec4f, s1: vec4f }

struct Step { decay: f32, step_size: f32, inv_sqrt_bc2: f32, eps: f32, beta1: f32, one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32 }

fn update(old: State, grad: vec4f, s: Step) -> State {
  let m1 = multiply_add(grad - old.s0, vec4f(s.one_minus_beta1), old.s0);
  let v1 = multiply_add(vec4f(s.beta2), old.s1, s.one_minus_beta2 * grad * grad);
  let root = multiply_add(sqrt(v1), vec4f(s.inv_sqrt_bc2), vec4f(s.eps));
  let w1 = multiply_add(old.w, vec4f(s.decay), -(s.step_size * m1 / root));
  return State(w1, m1, v1);
}

// A pending step is [decay, lr, log beta2, eps, log beta1, 1 - beta1, beta2, 1 - beta2]; t steps are taken, it included.
fn corrected(p: Step, t: f32) -> Step {
  let step_size = p.step_size / one_minus_exp(t * p.beta1);
  let inv_sqrt_bc2 = 1.0 / sqrt(one_minus_exp(t * p.inv_sqrt_bc2));
  return Step(p.decay, step_size, inv_sqrt_bc2, p.eps, 1.0 - p.one_minus_beta1, p.one_minus_beta1, p.beta2, p.one_minus_beta2);
}

fn void_step() -> Step { return Step(1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0); }
