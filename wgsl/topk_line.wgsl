// Where the k largest values of one long line x[R] are, without a pass for each of them.
//   tops    keys[b] = the largest key of block b of x: values b SIZE to b SIZE + SIZE - 1
//   select  found[k] = where the k largest of C candidates are, ascending. Candidates are x's values, or those of the blocks that
//           `blocks` names, ascending too
//   order   indices[k] = found[k], the largest value first
// One block of the k best has every value of the result: an earlier one that is as good comes first. `select` finds the k-th
// key by its digits, eight bits at a time, counting how often each occurs. So x is read once, and its k best blocks five times.
// One invocation selects, or on GPUs (WG above 1) one workgroup: its counters are whole numbers, so their order is no matter.
// Source: radix select; torch.topk.

const WG: u32 = 64;
const BLOCKS: u32 = 0; // 1: candidates are the values of blocks
const EACH: u32 = 1; // of what is ordered, by an invocation
const KEYED: u32 = 0; // 1: x holds keys

struct Params { R: u32, C: u32, k: u32, size: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;

// A number that orders as the value does: both zeros are one, and all NaN.
fn key_of(bits: u32) -> u32 {
  // @if KEYED
  return bits;
  // @else
  let size = bits & 0x7fffffffu;
  let ordered = select(bits | 0x80000000u, ~bits, bits > 0x7fffffffu);
  return select(select(ordered, 0x80000000u, size == 0u), 0xffffffffu, size > 0x7f800000u);
  // @end
}

@group(0) @binding(2) var<storage, read_write> keys: array<u32>;

@compute @workgroup_size(WG)
fn tops(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let b = invocation_index(wid, count, local, WG);
  let first = b * params.size;
  if (first >= params.R) { return; }
  var best = 0u;
  for (var r = first; r < min(first + params.size, params.R); r++) { best = max(best, key_of(x[r])); }
  keys[b] = best;
}

var<workgroup> some: array<u32, WG>;

// For GPUs, whose neighbours read neighbouring values; a workgroup has WG of them, so size is at most WG.
@compute @workgroup_size(WG)
fn tops_shared(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let r = invocation_index(wid, count, local, WG);
  some[local] = select(0u, key_of(x[min(r, params.R - 1u)]), r < params.R);
  for (var left = params.size / 2u; left > 0u; left /= 2u) {
    workgroupBarrier();
    if (local % params.size < left) { some[local] = max(some[local], some[local + left]); }
  }
  if (local % params.size == 0u && r < params.R) { keys[r / params.size] = some[local]; }
}

// @if BLOCKS
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read_write> found: array<u32>;
fn place_of(c: u32) -> u32 { return blocks[c / params.size] * params.size + c % params.size; }
// @else
@group(0) @binding(2) var<storage, read_write> found: array<u32>;
fn place_of(c: u32) -> u32 { return c; }
// @end

@compute @workgroup_size(WG)
fn select_alone() {
  var counts: array<u32, 256>;
  var prefix = 0u;
  var left = params.k; // of those that begin with the prefix, how many are taken
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    let mask = select(~((256u << shift) - 1u), 0u, digit == 0u);
    for (var d = 0u; d < 256u; d++) { counts[d] = 0u; }
    for (var c = 0u; c < params.C; c++) {
      let at = place_of(c);
      let key = key_of(x[min(at, params.R - 1u)]);
      if (at < params.R && (key & mask) == prefix) { counts[(key >> shift) & 255u]++; }
    }
    var d = 255u;
    while (d > 0u && counts[d] < left) {
      left -= counts[d];
      d--;
    }
    prefix |= d << shift;
  }
  var to = 0u;
  for (var c = 0u; c < params.C; c++) {
    let at = place_of(c);
    let key = key_of(x[min(at, params.R - 1u)]);
    let equal = key == prefix && left > 0u;
    if (at < params.R && (key > prefix || equal)) {
      found[to] = at;
      to++;
      left -= u32(equal);
    }
  }
}

var<workgroup> digits: array<atomic<u32>, 256>;
var<workgroup> chosen: vec2u;
var<workgroup> before: array<vec2u, WG>;

// WG is 256, one invocation a digit.
@compute @workgroup_size(WG)
fn select_shared(@builtin(local_invocation_index) local: u32) {
  var prefix = 0u;
  var left = params.k;
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    let mask = select(~((256u << shift) - 1u), 0u, digit == 0u);
    atomicStore(&digits[local], 0u);
    workgroupBarrier();
    for (var c = local; c < params.C; c += WG) {
      let at = place_of(c);
      let key = key_of(x[min(at, params.R - 1u)]);
      if (at < params.R && (key & mask) == prefix) { atomicAdd(&digits[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    var above = 0u;
    for (var d = local + 1u; d < 256u; d++) { above += atomicLoad(&digits[d]); }
    if (above < left && above + atomicLoad(&digits[local]) >= left) { chosen = vec2u(local, left - above); }
    workgroupBarrier();
    prefix |= chosen.x << shift;
    left = chosen.y;
    workgroupBarrier();
  }
  // Candidates in one stretch for each, so that the order is theirs.
  let each = (params.C + WG - 1u) / WG;
  let first = min(local * each, params.C);
  let end = min(first + each, params.C);
  var own = vec2u(); // greater, equal
  for (var c = first; c < end; c++) {
    let at = place_of(c);
    let key = key_of(x[min(at, params.R - 1u)]);
    own += select(vec2u(), vec2u(u32(key > prefix), u32(key == prefix)), at < params.R);
  }
  before[local] = own;
  workgroupBarrier();
  var seen = vec2u();
  for (var i = 0u; i < local; i++) { seen += before[i]; }
  for (var c = first; c < end; c++) {
    let at = place_of(c);
    let key = key_of(x[min(at, params.R - 1u)]);
    if (at < params.R && (key > prefix || (key == prefix && seen.y < left))) { found[seen.x + min(seen.y, left)] = at; }
    seen += select(vec2u(), vec2u(u32(key > prefix), u32(key == prefix)), at < params.R);
  }
}

@group(0) @binding(2) var<storage, read> unordered: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

// A place for each of the k: how many come before it. An invocation has EACH of them, so that one load serves them all.
@compute @workgroup_size(WG)
fn order(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = invocation_index(wid, count, local, WG) * EACH;
  // @unroll m in 0..EACH
  let i$m = first + $(m)u;
  let own$m = key_of(x[unordered[min(i$m, params.k - 1u)]]);
  var place$m = 0u;
  // @end
  for (var j = 0u; j < params.k; j++) {
    let key = key_of(x[unordered[j]]);
    // @unroll m in 0..EACH
    place$m += u32(key > own$m || (key == own$m && j < i$m));
    // @end
  }
  // @unroll m in 0..EACH
  if (i$m < params.k) { indices[place$m] = unordered[i$m]; }
  // @end
}
