// Reductions of x[O, R, I] along R for GPUs: axis_reduce.wgsl's functions. A workgroup has COLUMNS neighbouring E of I and a part of their
// lines, which its invocations share: out[O, parts, I], overwritten, float32. With ACROSS the elements of an E lie along R (I is 1), else along
// I; R and I count E. column_sum.wgsl and storage.wgsl stand before this text: x may be halves.

const WG: u32 = 64;
const WIDTH: u32 = 4; // 4: E is vec4f; 1: f32
const ACROSS: u32 = 0; // 1: a line's E come to one value
const SIGN: f32 = 1.0; // -1: top is the smallest

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
// What a line's E come to, as an E again.
// @if ACROSS
alias R = f32;
fn total_of(v: E) -> R { return add_up(v); }
fn most_of(v: E) -> R { return top_of(v); }
// @else
alias R = E;
fn total_of(v: E) -> R { return v; }
fn most_of(v: E) -> R { return v; }
// @end

struct Params { n: u32, R: u32, I: u32, per: u32, parts: u32, factor: u32 } // n: workgroups that have something to do
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<S>;
@group(0) @binding(2) var<storage, read_write> out: array<R>;

fn infinity() -> f32 { return bitcast<f32>(0x7f800000u | (params.n & 0u)); }
// The larger of two, or NaN: by bits, since compilers may take it for granted that there is none.
fn larger1(a: f32, b: f32) -> f32 { return select(b, a, (SIGN * a > SIGN * b) | ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u)); }
fn larger(a: E, b: E) -> E { return select(b, a, (SIGN * a > SIGN * b) | ((bitcast<W>(a) & W(0x7fffffffu)) > W(0x7f800000u))); }

var<workgroup> tops: array<E, WG>;
fn column_top(local: u32, v: E) -> E {
  tops[local] = v;
  for (var left = SLICES / 2u; left > 0u; left /= 2u) {
    workgroupBarrier();
    if (local < left * COLUMNS) { tops[local] = larger(tops[local], tops[local + left * COLUMNS]); }
  }
  workgroupBarrier();
  let top = tops[local % COLUMNS];
  workgroupBarrier();
  return top;
}

// An invocation's part of a line: its first E, how far the next one is, and where they end; and where the result goes, if it writes that.
struct Line { first: u32, step: u32, end: u32, unit: u32, leads: bool }

fn line_of(wid: vec3u, count: vec3u, local: u32) -> Line {
  let per_line = (params.I + COLUMNS - 1u) / COLUMNS;
  let group = group_index(wid, count);
  let i = group % per_line * COLUMNS + local % COLUMNS;
  let part = group / per_line % params.parts;
  let o = group / per_line / params.parts;
  let there = group < params.n && i < params.I;
  let start = part * params.per;
  let end = select(0u, min(start + params.per, params.R), there);
  let base = o * params.R * params.I + i;
  let first = base + (start + local / COLUMNS) * params.I;
  return Line(first, SLICES * params.I, select(0u, base + end * params.I, end > 0u), (o * params.parts + part) * params.I + i, there && local < COLUMNS);
}

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let line = line_of(wid, count, local);
  var own = E();
  // In runs, so that rounding errors do not grow with the whole length.
  for (var run = line.first; run < line.end; run += 32u * line.step) {
    var some = E();
    for (var at = run; at < min(run + 32u * line.step, line.end); at += line.step) { some += load(x[at]); }
    own += some;
  }
  let total = column_sum(local, own);
  if (line.leads) { out[line.unit] = bitcast<f32>(params.factor) * total_of(total); }
}

fn top_of_line(line: Line, local: u32) -> E {
  var most = E(-SIGN * infinity());
  for (var at = line.first; at < line.end; at += line.step) { most = larger(most, load(x[at])); }
  return column_top(local, most);
}

@compute @workgroup_size(WG)
fn top(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let line = line_of(wid, count, local);
  let most = most_of(top_of_line(line, local));
  if (line.leads) { out[line.unit] = most; }
}

@compute @workgroup_size(WG)
fn log_sum_exp(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let line = line_of(wid, count, local);
  let most = most_of(top_of_line(line, local));
  // An infinite one is the result, whatever stands beside it.
  let off = select(most, R(), abs(most) >= R(infinity()));
  var own = E();
  for (var at = line.first; at < line.end; at += line.step) { own += exp(load(x[at]) - E(off)); }
  let total = total_of(column_sum(local, own));
  if (line.leads) { out[line.unit] = select(off + log(total), most, !(abs(most) < R(infinity()))); }
}
