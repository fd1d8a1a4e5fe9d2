// y[C,R] = the transpose of x[R,C], R and C multiples of 4. y is overwritten.
//   transpose4  4 x 4 values per invocation: neighbouring ones read neighbouring columns, and what they write lies R values apart
//   tiles       for GPUs: a workgroup takes 32 x 32 values through its memory, so that neighbours read and write neighbouring vectors

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

// One value more a row: a column's values lie in different banks.
var<workgroup> tile: array<array<f32, 33>, 32>;

// Eight invocations a row of the tile. WG is 256.
@compute @workgroup_size(WG)
fn tiles(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let group = group_index(wid, count);
  let across = (params.columns4 + 7u) / 8u;
  let down = group / across;
  let right = group - down * across;
  let row = local / 8u;
  let four = local % 8u;
  let r = down * 32u + row;
  let c4 = right * 8u + four;
  if (r < params.rows4 * 4u && c4 < params.columns4) {
    let v = x[r * params.columns4 + c4];
    // @unroll j in 0..4
    tile[row][four * 4u + $(j)u] = v[$j];
    // @end
  }
  workgroupBarrier();
  let c = right * 32u + row;
  let r4 = down * 8u + four;
  if (c < params.columns4 * 4u && r4 < params.rows4) {
    let i = four * 4u;
    y[c * params.rows4 + r4] = vec4f(tile[i][row], tile[i + 1u][row], tile[i + 2u][row], tile[i + 3u][row]);
  }
}
