// Row-wise Adagrad, FBGEMM's EXACT_ROWWISE_ADAGRAD with weight decay in the gradient (its mode L2): a table's row of H values
// has one sum.
//   g = g + weight_decay * w;  sum = sum + mean(g^2) over the row;  w = w - lr / (sqrt(sum) + eps) * g
// Dense parameters have a sum per element, s0, with g^2 in place of the mean: torch.optim.Adagrad.
// A rule of optimizer.wgsl, optimizer_by_row.wgsl and scaler.wgsl: it stands before their text. multiply_add.wgsl stands before all.

const STATES: u32 = 1;
struct State { w: vec4f, s0: vec4f }

struct Step { lr: f32, eps: f32, weight_decay: f32 }

fn decayed(w: vec4f, grad: vec4f, s: Step) -> vec4f {
  return multiply_add(vec4f(s.weight_decay), w, grad);
}

fn moved(w: vec4f, g: vec4f, sum: vec4f, s: Step) -> vec4f {
  return multiply_add(-(s.lr / (sqrt(sum) + s.eps)), g, w);
}

fn update(old: State, grad: vec4f, s: Step) -> State {
  let g = decayed(old.w, grad, s);
  let sum = multiply_add(g, g, old.s0);
  return State(moved(old.w, g, sum, s), sum);
}

fn corrected(p: Step, t: f32) -> Step { return p; }

fn void_step() -> Step { return Step(0.0, 1.0, 0.0); }
