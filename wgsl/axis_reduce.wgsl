// One value for each of the middle dimension's lines of x[O, R, I], which is cut into parts: out[O, parts, I], overwritten, float32.
//   sum          factor, whose bits are passed since it may be infinite, times the sum
//   top          the largest value, or with LEAST the smallest; NaN where there is one
//   log_sum_exp  log of the sum of exponentials, the line's largest value taken off first; -infinity of no values, or of -infinities
// An invocation takes a part of a line, in order. With ACROSS the elements of an E lie along R (I is 1), else along I; R, I and n,
// the number of values to write, count E accordingly. storage.wgsl stands before this text: x may be halves.
// Source: torch.sum, torch.amax, torch.logsumexp.

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const ACROSS: u32 = 0; // 1: an invocation's E are one line, and its result one value
const LEAST: u32 = 0; // 1: top is the smallest
const SIGN: f32 = 1.0; // -1 where LEAST is 1

// @if WIDTH/4
alias E = vec4f;
alias W = vec4u;
fn add_up(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn top_of(v: E) -> f32 { return larger1(larger1(v.x, v.y), larger1(v.z, v.w)); }
// @else
alias E = f32;
alias W = u32;
fn add_up(v: E) -> f32 { return v; }
fn top_of(v: E) -> f32 { return v; }
// @end
// @if ACROSS
alias R = f32;
fn total_of(v: E) -> R { return add_up(v); }
fn most_of(v: E) -> R { return top_of(v); }
// @else
alias R = E;
fn total_of(v: E) -> R { return v; }
fn most_of(v: E) -> R { return v; }
// @end

struct Params { n: u32, R: u32, I: u32, per: u32, parts: u32, factor: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> out: array<R>;

fn infinity() -> f32 { return bitcast<f32>(0x7f800000u | (params.n & 0u)); }
// The larger of two, or NaN: by bits, since compilers may take it for granted that there is none.
fn larger1(a: f32, b: f32) -> f32 { return select(b, a, (SIGN * a > SIGN * b) | ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u)); }
fn larger(a: E, b: E) -> E { return select(b, a, (SIGN * a > SIGN * b) | ((bitcast<W>(a) & W(0x7fffffffu)) > W(0x7f800000u))); }

struct Line { first: u32, start: u32, end: u32 }
// Where a value's part of its line is: its first E, and the part's bounds along R.
fn line_of(unit: u32) -> Line {
  let i = unit % params.I;
  let part = unit / params.I % params.parts;
  let o = unit / params.I / params.parts;
  let start = part * params.per;
  return Line(o * params.R * params.I + i, start, min(start + params.per, params.R));
}

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let line = line_of(unit);
  var total = E();
  // In runs, so that rounding errors do not grow with the whole length.
  for (var at = line.start; at < line.end; at += 32u) {
    var some = E();
    for (var r = at; r < min(at + 32u, line.end); r++) { some += load(x[line.first + r * params.I]); }
    total += some;
  }
  out[unit] = bitcast<f32>(params.factor) * total_of(total);
}

fn top_of_line(line: Line) -> E {
  var most = E(-SIGN * infinity());
  for (var r = line.start; r < line.end; r++) { most = larger(most, load(x[line.first + r * params.I])); }
  return most;
}

@compute @workgroup_size(WG)
fn top(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  out[unit] = most_of(top_of_line(line_of(unit)));
}

@compute @workgroup_size(WG)
fn log_sum_exp(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.n) { return; }
  let line = line_of(unit);
  let most = most_of(top_of_line(line));
  // An infinite one is the result, whatever stands beside it.
  let off = select(most, R(), abs(most) >= R(infinity()));
  var total = E();
  for (var r = line.start; r < line.end; r++) { total += exp(load(x[line.first + r * params.I]) - E(off)); }
  out[unit] = select(off + log(total_of(total)), most, !(abs(most) < R(infinity())));
}
