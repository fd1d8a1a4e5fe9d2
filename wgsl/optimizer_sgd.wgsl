// SGD with momentum, as torch.optim.SGD computes it, weight decay in the gradient; s0 is momentum_buffer:
//   g = g + weight_decay * w;  s0 = momentum * s0 + (1 - dampening) * g, the first step without dampening
//   w = w - lr * s0, with nesterov w - lr * (g + momentum * s0); without a momentum anywhere (STATES 0) w - lr * g
// A rule of optimizer.wgsl and scaler.wgsl: it stands before their text. multiply_add.wgsl stands before all.

const STATES: u32 = 1; // 0 or 1
struct State {
  w: vec4f,
  // @unroll k in 0..STATES
  s$k: vec4f,
  // @end
}

// undamped is 1 - dampening; nesterov is 0 or 1.
struct Step { lr: f32, momentum: f32, undamped: f32, weight_decay: f32, nesterov: f32 }

fn update(old: State, grad: vec4f, s: Step) -> State {
  var next = old;
  var direction = multiply_add(vec4f(s.weight_decay), old.w, grad);
  // @unroll k in 0..STATES
  next.s$k = multiply_add(vec4f(s.momentum), old.s$k, s.undamped * direction);
  direction = select(next.s$k, multiply_add(vec4f(s.momentum), next.s$k, direction), s.nesterov == 1.0);
  // @end
  next.w = multiply_add(vec4f(-s.lr), direction, old.w);
  return next;
}

// A pending step is a later one; t steps are taken, it included.
fn corrected(p: Step, t: f32) -> Step {
  return Step(p.lr, p.momentum, select(p.undamped, 1.0, t == 1.0), p.weight_decay, p.nesterov);
}

fn void_step() -> Step { return Step(0.0, 1.0, 0.0, 0.0, 0.0); }
