// What LayerNorm's kernels read and write of a row, element by element: layernorm.wgsl, a row an invocation, and layernorm_workgroup.wgsl,
// a row a workgroup, stand behind this text, philox.wgsl and storage.wgsl before it. H counts E.
//   forward   take: x (+ residual, which stores sum), dropped where DROP_IN says so; taken: the same again; finished: ReLU and dropout of y
//   backward  gradient: dy, or with RELU dy * gate where y > 0, else 0, since y is above 0 where ReLU passed and dropout kept; with
//             DROP_OUT alone dy under its mask. store: dx, and `dropped`, the same under DROP_IN's mask
// Masks are dropout.wgsl's.

const RESIDUAL: u32 = 1;
const DROP_IN: u32 = 0;
const DROP_OUT: u32 = 0;
const RELU: u32 = 0;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const AFTER: u32 = 7; // the binding of y or, without it, of dropped

struct Params {
  rows: u32, H: u32, eps: f32, per_block: u32, accumulate: u32, gate: f32,
  threshold: u32, scale: f32, seed: u32, layer: u32, step: u32, second: u32,
  rectify: u32, // under RELU: 1, or 0 where there is none after all
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read> weight: array<E>;
@group(0) @binding(3) var<storage, read> bias: array<E>;
@group(0) @binding(4) var<storage, read_write> y: array<S>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

// @if WIDTH/4
alias E = vec4f;
alias Rectified = vec4<bool>;
fn across(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn front(v: E) -> f32 { return v.x; }
fn draw(i: u32) -> vec4u { return philox4x32(vec4u(i, 0u, params.step, 0u), vec2u(params.seed, params.layer)); }
fn dropped_out(v: E, i: u32) -> E { return select(E(), v * params.scale, draw(i) >= vec4u(params.threshold)); }
// @else
alias E = f32;
alias Rectified = bool;
fn across(v: E) -> f32 { return v; }
fn front(v: E) -> f32 { return v; }
fn draw(i: u32) -> u32 { return philox4x32(vec4u(i / 4u, 0u, params.step, 0u), vec2u(params.seed, params.layer))[i % 4u]; }
fn dropped_out(v: E, i: u32) -> E { return select(E(), v * params.scale, draw(i) >= params.threshold); }
// @end

// The first pass adds and stores what the second reads.
// @if RESIDUAL
@group(0) @binding(7) var<storage, read> residual: array<S>;
@group(0) @binding(8) var<storage, read_write> sum: array<S>;
fn take(i: u32) -> E {
  var v = load(x[i]);
  if (DROP_IN == 1u) { v = dropped_out(v, i); }
  let stored = keep(v + load(residual[i]));
  sum[i] = stored;
  return load(stored);
}
fn taken(i: u32) -> E { return load(sum[i]); }
// @else
fn take(i: u32) -> E { return load(x[i]); }
fn taken(i: u32) -> E { return load(x[i]); }
// @end

fn finished(v: E, i: u32) -> E {
  var out = v;
  if (RELU == 1u) { out = select(out, E(), (out < E()) & Rectified(params.rectify == 1u)); } // a NaN stays one
  if (DROP_OUT == 1u) { out = dropped_out(out, i); }
  return out;
}

@group(0) @binding(1) var<storage, read> dy: array<S>;
@group(0) @binding(2) var<storage, read> sum_in: array<S>;
@group(0) @binding(3) var<storage, read> mean_in: array<f32>;
@group(0) @binding(4) var<storage, read> rstd_in: array<f32>;
@group(0) @binding(5) var<storage, read> weight_in: array<E>;
@group(0) @binding(6) var<storage, read_write> dx: array<S>;

// @if RELU
@group(0) @binding($(AFTER)) var<storage, read> y_in: array<S>;
fn gradient(i: u32) -> E { return select(E(), load(dy[i]) * params.gate, load(y_in[i]) > E()); }
// @else
// @if DROP_OUT
fn gradient(i: u32) -> E { return dropped_out(load(dy[i]), i); }
// @else
fn gradient(i: u32) -> E { return load(dy[i]); }
// @end
// @end

// @if DROP_IN
@group(0) @binding($(AFTER + RELU)) var<storage, read_write> dropped: array<S>;
fn store(i: u32, v: E) {
  dx[i] = keep(v);
  dropped[i] = keep(dropped_out(v, i));
}
// @else
fn store(i: u32, v: E) { dx[i] = keep(v); }
// @end
