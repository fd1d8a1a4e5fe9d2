// What kernels over the softmax of rows share on GPUs: the largest value of a row, and the sum of exponentials less it, by the LANES invocations
// of a workgroup that have the row (group_sum.wgsl, which stands before this text). They read neighbouring E, twice, the second time mostly from a
// cache: to scale a sum where a larger value is met would cost a rounding each time. The text behind this one declares WG, and
// `value`, the E of a row from `first` on.

const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32

// @if WIDTH/4
alias E = vec4f;
fn across(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn highest(v: E) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn part_of(v: E, c: u32) -> f32 { return v[c % 4u]; }
// 1 in the place of a class among those from E number c on, 0 elsewhere.
fn one_hot(class_id: u32, c: u32) -> E { return select(E(), E(1.0), vec4u(class_id) == vec4u(c * 4u) + vec4u(0u, 1u, 2u, 3u)); }
// @else
alias E = f32;
fn across(v: E) -> f32 { return v; }
fn highest(v: E) -> f32 { return v; }
fn part_of(v: E, c: u32) -> f32 { return v; }
fn one_hot(class_id: u32, c: u32) -> E { return select(0.0, 1.0, class_id == c); }
// @end

struct Row { top: f32, total: f32 }

// Of `size` E; of none the total is 0.
fn exponentials(p: Place, first: u32, size: u32) -> Row {
  var own = LEAST;
  for (var c = lane_of(p); c < size; c += 4u * LANES) {
    // @unroll j in 0..4
    own = max(own, highest(value(first, min(c + $(j)u * LANES, size - 1u))));
    // @end
  }
  let top = group_max(p, own);
  var total = E();
  for (var c = lane_of(p); c < size; c += 4u * LANES) {
    // @unroll j in 0..4
    let e$j = select(E(), exp(value(first, min(c + $(j)u * LANES, size - 1u)) - top), c + $(j)u * LANES < size);
    // @end
    total += (e0 + e1) + (e2 + e3);
  }
  return Row(top, group_sum1(p, across(total)));
}
