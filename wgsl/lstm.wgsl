// One direction of one LSTM layer over packed rows: row b is the tokens starts[b] to starts[b + 1] - 1, read from its first token on, or with
// reverse from its last. gates_in[T, 4 H] is what the input gives, its bias in it, in the order i, f, g, o. With u the state before, 0 at first:
//   v = gates_in[t] + bias[4 H] + weight[4 H, H] u
//   i, f, o = sigmoid of theirs, g = tanh of its own;  c = f c_before + i g;  h = o tanh(c)
//   forward   -> h[T, H], and for the backward pass gates[T, 4 H] (i, f, g, o), cell[T, H] (c), before[T, H] (u)
//   backward  gates, cell, weight, dh[T, H] -> dgates[T, 4 H], the gradient of v; carry[B, H] is scratch
// A workgroup takes a row: what a step reads of the one before passes through memory. Source: torch.nn.LSTM.

const WG: u32 = 64;

struct Params { B: u32, H: u32, reverse: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> gates_in: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> h: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> cell: array<f32>;
@group(0) @binding(8) var<storage, read_write> before: array<f32>;

@group(0) @binding(2) var<storage, read> kept: array<f32>; // gates
@group(0) @binding(4) var<storage, read> cells: array<f32>;
@group(0) @binding(5) var<storage, read> dh: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgates: array<f32>;
@group(0) @binding(7) var<storage, read_write> carry: array<f32>;

fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  let r = 1.0 / (1.0 + e);
  return select(r, e * r, x < 0.0);
}
// Its series where 1 - 2 / (exp(2x) + 1) would cancel: Cephes' tanhf.
fn hyperbolic_tangent(x: f32) -> f32 {
  let z = x * x;
  let near = x + x * z * (-0.333332819422 + z * (0.133314422036 + z * (-0.0537397155531 + z * (0.0206390887954 - z * 0.00570498872745))));
  let e = exp(-2.0 * abs(x));
  let far = (1.0 - e) / (1.0 + e);
  return select(select(far, -far, x < 0.0), near, abs(x) < 0.625);
}
// The token of a step, from 0, of a row.
fn token(first: u32, end: u32, step: u32) -> u32 { return select(first + step, end - 1u - step, params.reverse == 1u); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let b = group_index(wid, count);
  if (b >= params.B) { return; }
  let H = params.H;
  let first = starts[b];
  let end = starts[b + 1u];
  for (var step = 0u; step < end - first; step++) {
    let t = token(first, end, step);
    let last = token(first, end, max(step, 1u) - 1u);
    for (var j = local; j < H; j += WG) {
      var v = vec4f(0.0);
      if (step > 0u) {
        for (var k = 0u; k < H; k++) {
          let at = j * H + k;
          v += h[last * H + k] * vec4f(weight[at], weight[at + H * H], weight[at + 2u * H * H], weight[at + 3u * H * H]);
        }
      }
      let at = 4u * t * H + j;
      v += vec4f(gates_in[at] + bias[j], gates_in[at + H] + bias[j + H], gates_in[at + 2u * H] + bias[j + 2u * H], gates_in[at + 3u * H] + bias[j + 3u * H]);
      let i = sigmoid(v.x);
      let f = sigmoid(v.y);
      let g = hyperbolic_tangent(v.z);
      let o = sigmoid(v.w);
      var c = i * g;
      var u = 0.0;
      if (step > 0u) {
        c += f * cell[last * H + j];
        u = h[last * H + j];
      }
      gates[at] = i;
      gates[at + H] = f;
      gates[at + 2u * H] = g;
      gates[at + 3u * H] = o;
      cell[t * H + j] = c;
      before[t * H + j] = u;
      h[t * H + j] = o * hyperbolic_tangent(c);
    }
    storageBarrier();
  }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let b = group_index(wid, count);
  if (b >= params.B) { return; }
  let H = params.H;
  let first = starts[b];
  let end = starts[b + 1u];
  for (var left = end - first; left > 0u; left--) {
    let step = left - 1u;
    let t = token(first, end, step);
    let next = token(first, end, min(left, end - first - 1u));
    let last = token(first, end, max(step, 1u) - 1u);
    for (var j = local; j < H; j += WG) {
      var d = dh[t * H + j];
      var dc = 0.0;
      if (left < end - first) {
        var back = 0.0;
        for (var r = 0u; r < 4u * H; r++) { back += dgates[4u * next * H + r] * weight[r * H + j]; }
        d += back;
        dc = carry[b * H + j];
      }
      let at = 4u * t * H + j;
      let i = kept[at];
      let f = kept[at + H];
      let g = kept[at + 2u * H];
      let o = kept[at + 3u * H];
      let c = hyperbolic_tangent(cells[t * H + j]);
      dc += d * o * (1.0 - c * c);
      var before_c = 0.0;
      if (step > 0u) { before_c = cells[last * H + j]; }
      dgates[at] = dc * g * i * (1.0 - i);
      dgates[at + H] = dc * before_c * f * (1.0 - f);
      dgates[at + 2u * H] = dc * i * (1.0 - g * g);
      dgates[at + 3u * H] = d * c * o * (1.0 - o);
      carry[b * H + j] = dc * f;
    }
    storageBarrier();
  }
}
