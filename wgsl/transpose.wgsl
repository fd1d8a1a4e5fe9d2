// y[C,R] = the transpose of x[R,C]: 4 x 4 values per invocation, R and C multiples of 4. y is overwritten.
// Neighbouring invocations read neighbouring columns; what they write lies R values apart.

const WG: u32 = 64;

struct Params { rows4: u32, columns4: u32 } // R / 4, C / 4
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WG)
fn transpose4(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let r = unit / params.columns4;
  let c = unit - r * params.columns4;
  if (r >= params.rows4) { return; }
  // @unroll i in 0..4
  let row$i = x[(4u * r + $(i)u) * params.columns4 + c];
  // @end
  // @unroll j in 0..4
  y[(4u * c + $(j)u) * params.rows4 + r] = vec4f(row0[$j], row1[$j], row2[$j], row3[$j]);
  // @end
}
