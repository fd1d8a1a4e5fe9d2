// What the backward pass of cross_attention.wgsl on GPUs reads of a query's head: stats[A, Tq] = (lse, delta), delta = dout·out; of lse[Tq, A] and
// out, dout[Tq, A, D], D in vec4f and LANES at most. So a head's queries are neighbours. LANES invocations share a head, whose neighbouring
// vec4f neighbouring ones take. group_sum.wgsl stands before this text.

const WG: u32 = 64;

struct Params { queries: u32, A: u32, D: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lse: array<f32>;
@group(0) @binding(2) var<storage, read> out: array<vec4f>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(WG)
fn delta(p: Place) {
  let row = row_of(p);
  let lane = lane_of(p);
  let within = row < params.queries * params.A;
  let head = row % params.queries * params.A + row / params.queries;
  var own = 0.0;
  if (within && lane < params.D) { own = dot(out[head * params.D + lane], dout[head * params.D + lane]); }
  let sum = group_sum1(p, own);
  if (within && lane == 0u) { stats[row] = vec2f(lse[head], sum); }
}
