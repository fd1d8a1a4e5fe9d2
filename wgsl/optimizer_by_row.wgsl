// One step over rows of a table shard [rows, H], for a rule with one number a row, `sums` [rows], in place of state per element
// (optimizer_rowwise_adagrad.wgsl stands before this text): sum = sum + mean(decayed(g)^2); w = moved(w, decayed(g), sum).
// A workgroup takes a row of g, adds up its squares in a fixed order, and updates sum and w in place. Rows without a gradient stay
// as they are. `entries` holds pairs, of which the first is the row in the shard. g is multiplied by clip[0]; where that is negative,
// gradients overflowed and count as zero.

const WG: u32 = 32;
const TREE: u32 = 0; // 1: WG is a power of two, and sums are added by halves
const WIDTH: u32 = 4; // 4: R is vec4f; 1: f32

// @if WIDTH/4
alias R = vec4f;
fn narrow(v: vec4f) -> R { return v; }
fn square(v: vec4f) -> f32 { return dot(v, v); }
// @else
alias R = f32;
fn narrow(v: vec4f) -> R { return v.x; }
fn square(v: vec4f) -> f32 { return v.x * v.x; }
// @end

// width counts R.
struct Params { n: u32, width: u32, groups: u32, group: u32, step: u32, first_entry: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<R>;
@group(0) @binding(2) var<storage, read> entries: array<vec2u>;
@group(0) @binding(3) var<storage, read> history: array<Step>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<R>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

var<workgroup> parts: array<f32, WG>;
var<workgroup> sum: f32;

fn gradient(at_w: u32, at_g: u32, s: Step) -> vec4f {
  let c = clip[0];
  return decayed(vec4f(w[at_w]), select(vec4f(g[at_g]) * c, vec4f(), c < 0.0), s);
}

@compute @workgroup_size(WG)
fn by_row(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let n = group_index(wid, count);
  if (n >= params.n) { return; }
  let entry = params.first_entry + n;
  let row = entries[entry].x;
  let s = history[params.step * params.groups + params.group];
  var squares = 0.0;
  for (var c = local; c < params.width; c += WG) {
    squares += square(gradient(row * params.width + c, entry * params.width + c, s));
  }
  parts[local] = squares;
  workgroupBarrier();
  // @if TREE
  for (var reach = WG / 2u; reach > 0u; reach /= 2u) {
    if (local < reach) { parts[local] += parts[local + reach]; }
    workgroupBarrier();
  }
  // @end
  if (local == 0u) {
    // @if TREE
    let total = parts[0];
    // @else
    var total = 0.0;
    for (var i = 0u; i < WG; i++) { total += parts[i]; }
    // @end
    sum = sums[row] + total / f32(params.width * WIDTH);
    sums[row] = sum;
  }
  workgroupBarrier();
  for (var c = local; c < params.width; c += WG) {
    let at = row * params.width + c;
    w[at] = narrow(moved(vec4f(w[at]), gradient(at, entry * params.width + c, s), vec4f(sum), s));
  }
}
