// Moves elements between arrays that are stepped through in two ways: y[y0 + places in y] = x[x0 + places in x], over a shape. What
// transposes, cuts out, repeats (a stride of 0 in x) and puts together. Bits are moved, whatever they mean: an element is WORDS
// words, which are one value, four, or four halves. Dimensions are merged by the launcher, d0 is the last; sizes, strides and n count
// elements. What y has elsewhere stays. divide.wgsl stands before this text.

const WG: u32 = 256;
const PER: u32 = 4; // elements per invocation
const RANK: u32 = 1;
const WORDS: u32 = 4;

// @if WORDS/4
alias U = vec4u;
// @end
// @if WORDS%4/2
alias U = vec2u;
// @end
// @if WORDS%2
alias U = u32;
// @end

struct Params {
  n: u32,
  x0: u32,
  y0: u32,
  // @unroll d in 0..RANK
  d$d: u32,
  x_step$d: u32,
  y_step$d: u32,
  // @end
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<U>;
@group(0) @binding(2) var<storage, read_write> y: array<U>;

fn at(i: u32) {
  var source = params.x0;
  var goal = params.y0;
  var rest = i;
  // @unroll d in 0..RANK-1
  let next$d = divide(rest, params.d$d);
  let c$d = rest - next$d * params.d$d;
  source += c$d * params.x_step$d;
  goal += c$d * params.y_step$d;
  rest = next$d;
  // @end
  y[goal + rest * params.y_step$(RANK - 1)] = x[source + rest * params.x_step$(RANK - 1)];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group_index(wid, count) * WG * PER + local;
  for (var j = 0u; j < PER; j++) {
    let i = first + j * WG;
    if (i < params.n) { at(i); }
  }
}
