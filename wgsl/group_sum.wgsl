// Sums and maxima over LANES neighbouring invocations, for kernels that give a row to several: to a whole workgroup, or to 2, 4, … 32 of
// its invocations. All of a workgroup call them, in uniform control flow, and each gets the result of its own LANES; the order is fixed.
//   a workgroup, with SUBGROUPS  a sum in each subgroup, then over those sums, which pass through workgroup memory. Nothing is taken for
//                                granted about subgroups: how many invocations one has is counted, as some drivers report more than run,
//                                and each sum has a place whichever invocations those are
//   a workgroup, without         through workgroup memory: STAGE sums, then over those
//   fewer                        through workgroup memory, each adds all
// Stands before the text of the families that use it; WG is theirs, a power of two from 32 on.

// @if SUBGROUPS*(LANES/WG)
enable subgroups;
// @end

const SUBGROUPS: u32 = 0;
const LANES: u32 = 64;
const STAGE: u32 = select(8u, 16u, WG > 64u);
const LEAST: f32 = -3.4028234e38; // the maximum of nothing: an infinity less itself would be no number

struct Place {
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) local: u32,
  // @if SUBGROUPS*(LANES/WG)
  @builtin(subgroup_invocation_id) lane: u32,
  // @end
}

// The row that an invocation works for, and which one of the row's LANES it is.
fn row_of(p: Place) -> u32 { return group_index(p.wid, p.count) * (WG / LANES) + p.local / LANES; }
fn lane_of(p: Place) -> u32 { return p.local % LANES; }

// An invocation's place among those that hold what subgroups have: its number with the bits reversed. The first invocations of subgroups of
// neighbours, whatever their size, so come to lie next to each other, and others share out their sums.
fn place_of(p: Place) -> u32 { return reverseBits(p.local) >> (countLeadingZeros(WG) + 1u); }

alias vec1f = f32;
// @unroll n in 1..3
var<workgroup> held$n: array<vec$(n)f, WG>;

fn group_sum$n(p: Place, v: vec$(n)f) -> vec$(n)f {
  var total = vec$(n)f();
  // @if SUBGROUPS*(LANES/WG)
  held$n[place_of(p)] = select(vec$(n)f(), subgroupAdd(v), p.lane == 0u);
  workgroupBarrier();
  let lanes = subgroupAdd(1u);
  for (var i = 0u; i < WG; i += lanes) { total += select(vec$(n)f(), held$n[min(i + p.lane, WG - 1u)], i + p.lane < WG); }
  total = subgroupAdd(total);
  // @else
  held$n[p.local] = v;
  workgroupBarrier();
  // @if LANES/WG
  if (p.local < STAGE) {
    var some = v;
    for (var i = p.local + STAGE; i < WG; i += STAGE) { some += held$n[i]; }
    held$n[p.local] = some;
  }
  workgroupBarrier();
  for (var i = 0u; i < STAGE; i++) { total += held$n[i]; }
  // @else
  for (var i = 0u; i < LANES; i++) { total += held$n[p.local - p.local % LANES + i]; }
  // @end
  // @end
  workgroupBarrier();
  return total;
}
// @end

fn group_max(p: Place, v: f32) -> f32 {
  var top = LEAST;
  // @if SUBGROUPS*(LANES/WG)
  held1[place_of(p)] = select(LEAST, subgroupMax(v), p.lane == 0u);
  workgroupBarrier();
  let lanes = subgroupAdd(1u);
  for (var i = 0u; i < WG; i += lanes) { top = max(top, held1[min(i + p.lane, WG - 1u)]); }
  top = subgroupMax(top);
  // @else
  held1[p.local] = v;
  workgroupBarrier();
  // @if LANES/WG
  if (p.local < STAGE) {
    var some = v;
    for (var i = p.local + STAGE; i < WG; i += STAGE) { some = max(some, held1[i]); }
    held1[p.local] = some;
  }
  workgroupBarrier();
  for (var i = 0u; i < STAGE; i++) { top = max(top, held1[i]); }
  // @else
  for (var i = 0u; i < LANES; i++) { top = max(top, held1[p.local - p.local % LANES + i]); }
  // @end
  // @end
  workgroupBarrier();
  return top;
}
