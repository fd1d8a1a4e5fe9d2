// Matrix product, c[M,N] = a b, one tile of R rows by 4 C SG columns per subgroup of SG lanes, held in registers.
//   NN  a[M,K] b[K,N]     NT  a[M,K] b[N,K]     TN  a[K,M] b[K,N]
// matmul_operands.wgsl and matmul_epilogue.wgsl stand before this text: how a and b are read; what happens to a sum, and where
// it goes.
// A lane owns 4 C columns of all R rows, and loads R/SG rows of a, which the lanes hand round:
//   BROADCAST  every lane takes row after row from the lane that loaded it (one instruction on lavapipe)
//   QUAD       SG = 4: lanes swap within the quad, so that lane l meets row l ^ j in round j (cheap on SwiftShader)
// A storage load costs a software adapter as much as twenty multiply-adds, and a sum assigned in a loop is blended with the
// execution mask once per iteration: hence large tiles and STEP values of k per iteration, while the loop's code still
// fits the instruction cache. One subgroup per workgroup, no barrier. Tiles past an edge read the last row or column
// again and store nothing there, so that one pipeline serves all sizes.
// Constants that are 0 or 1 keep or drop lines, by an `@if` or as a factor in an `@unroll`.
enable subgroups;

const WG: u32 = 8; // SG
const SG: u32 = 8; // lanes of a subgroup
const R: u32 = 64; // rows of a tile, a multiple of SG AW
const C: u32 = 2; // groups of four columns a lane owns
const STEP: u32 = 2; // of k, a power of two up to 8
const PART: u32 = 4u + STEP / 8u * 4u; // parts of K are multiples of it
const KV: u32 = 2; // of k a vector along K has: 2 or 4, at most STEP
const BROADCAST: u32 = 1;
const QUAD: u32 = 0;
const A_KV: u32 = 1; // a[M,K] as vectors of KV
const A_K1: u32 = 0; // a[M,K] as f32
const A_M4: u32 = 0; // a[K,M] as vec4f
const A_M1: u32 = 0; // a[K,M] as f32
const AW: u32 = 1u + 3u * A_M4; // neighbouring rows a lane loads
const GROUPS: u32 = R / SG / AW;
const AHEAD: u32 = 1u + (GROUPS - 1u) * BROADCAST; // groups whose loads stand before the rows of any of them
const B_N4: u32 = 1; // b[K,N] as vec4f
const B_N1: u32 = 0; // b[K,N] as f32
const B_KV: u32 = 0; // b[N,K] as vectors of KV
const B_K1: u32 = 0; // b[N,K] as f32
const TAIL: u32 = 0; // 1: K is not a multiple of STEP
const SUMS: u32 = 0; // 1, TN: sums[M] = (+=) the sums of a over K, which are a bias's gradient beside its weight's

@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let tiles_n = (N + 4u * C * SG - 1u) / (4u * C * SG);
  let tiles_m = (M + R - 1u) / R;
  let index = group_index(wid, count);
  let band = index / tiles_n;
  let z = band / tiles_m;
  if (z >= params.splits) { return; }
  let m0 = (band % tiles_m) * R;
  let n0 = (index % tiles_n) * (4u * C * SG) + 4u * lane; // this lane's columns are n0 + 4 SG G … + 3
  let part = ((K + params.splits - 1u) / params.splits + PART - 1u) & ~(PART - 1u);
  let start = min(z * part, K);
  let end = min(start + part, K);

  // Where in a and b this lane's rows and columns begin.
  // @unroll g in 0..R/SG*A_KV
  let ra$g = min(m0 + $(g * SG)u + lane, M - 1u) * (K >> $(KV / 2)u);
  // @end
  // @unroll g in 0..R/SG*A_K1
  let ra$g = min(m0 + $(g * SG)u + lane, M - 1u) * K;
  // @end
  // @unroll g in 0..R/SG/4*A_M4
  let ra$g = min((m0 >> 2u) + $(g * SG)u + lane, (M >> 2u) - 1u);
  // @end
  // @unroll g in 0..R/SG*A_M1
  let ra$g = min(m0 + $(g * SG)u + lane, M - 1u);
  // @end
  // @unroll g in 0..C*B_N4
  let cb$g = min((n0 >> 2u) + $(g * SG)u, (N >> 2u) - 1u);
  // @end
  // @unroll j in 0..4*C*B_N1
  let cb$j = min(n0 + $(j / 4 * 4 * SG + j % 4)u, N - 1u);
  // @end
  // @unroll j in 0..4*C*B_KV
  let cb$j = min(n0 + $(j / 4 * 4 * SG + j % 4)u, N - 1u) * (K >> $(KV / 2)u);
  // @end
  // @unroll j in 0..4*C*B_K1
  let cb$j = min(n0 + $(j / 4 * 4 * SG + j % 4)u, N - 1u) * K;
  // @end

  // @unroll r in 0..R
  // @unroll v in 0..4*C
  var s$(r)_$v = 0.0;
  // @end
  // @end

  // @unroll g in 0..R/SG/4*A_M4*SUMS
  var all$g = vec4f();
  // @end
  // @unroll g in 0..R/SG*A_M1*SUMS
  var all$g = 0.0;
  // @end

  for (var k = start; k < end; k += STEP) {
    // Past the end the last k is read again, and a counts as 0.
    // @unroll q in 0..STEP*TAIL
    let k$q = min(k + $(q)u, end - 1u);
    let live$q = k + $(q)u < end;
    // @end
    // @unroll q in 0..STEP*(1-TAIL)
    let k$q = k + $(q)u;
    let live$q = true;
    // @end

    // bQ_V: of this lane's columns the V-th, at k + Q
    // @unroll v in 0..4*C*B_KV
    // @unroll h in 0..STEP/KV
    let vb$(v)_$h = b_$(KV)(cb$v + (k >> $(KV / 2)u) + $(h)u);
    // @unroll q in 0..KV
    let b$(h * KV + q)_$v = vb$(v)_$h[$q];
    // @end
    // @end
    // @end
    // @unroll q in 0..STEP
    // @unroll v in 0..4*C*B_K1
    let b$(q)_$v = b_1(cb$v + k$q);
    // @end
    // @unroll g in 0..C*B_N4
    let vb$(q)_$g = b_4(k$q * (N >> 2u) + cb$g);
    // @unroll i in 0..4
    let b$(q)_$(4 * g + i) = vb$(q)_$g[$i];
    // @end
    // @end
    // @unroll v in 0..4*C*B_N1
    let b$(q)_$v = b_1(k$q * N + cb$v);
    // @end
    // @end

    // Of AHEAD groups this lane's AW rows, a of row I at k + Q as aI_Q; then all rows of those groups.
    // @unroll p in 0..GROUPS/AHEAD
    // @unroll g in p*AHEAD..p*AHEAD+AHEAD
    // @if A_KV
    // @unroll h in 0..STEP/KV
    let va$(g)_$h = a_$(KV)(ra$g + (k >> $(KV / 2)u) + $(h)u);
    // @unroll q in 0..KV
    let a$(g)_$(h * KV + q) = va$(g)_$h[$q];
    // @end
    // @end
    // @end
    // @unroll q in 0..STEP
    // @if A_K1
    let a$(g)_$q = select(0.0, a_1(ra$g + k$q), live$q);
    // @end
    // @if A_M4
    let va$(q)_$g = select(vec4f(), a_4(k$q * (M >> 2u) + ra$g), live$q);
    // @unroll i in 0..4
    let a$(4 * g + i)_$q = va$(q)_$g[$i];
    // @end
    // @end
    // @if A_M1
    let a$(g)_$q = select(0.0, a_1(k$q * M + ra$g), live$q);
    // @end
    // @end

    // @if A_M4*SUMS
    all$g = all$g
    // @unroll q in 0..STEP
      + va$(q)_$g
    // @end
    ;
    // @end
    // @if A_M1*SUMS
    all$g = all$g
    // @unroll q in 0..STEP
      + a$(g)_$q
    // @end
    ;
    // @end
    // @end

    // Row R of the tile: the I-th of AW rows that lane J (or this lane's partner in round J) loaded in group G.
    // Row after row, as few of its values alive as can be: half of lavapipe's speed, a fifth of SwiftShader's.
    // @unroll g in p*AHEAD..p*AHEAD+AHEAD
    // @unroll i in 0..AW
    // @unroll j in 0..SG
    // @unroll q in 0..STEP*BROADCAST
    let x$((g * SG + j) * AW + i)_$q = subgroupBroadcast(a$(g * AW + i)_$q, $(j)u);
    // @end
    // @unroll q in 0..STEP*QUAD
    let x$((g * SG + j) * AW + i)_$q = met_$j(a$(g * AW + i)_$q);
    // @end
    // @unroll v in 0..4*C
    s$((g * SG + j) * AW + i)_$v = s$((g * SG + j) * AW + i)_$v
    // @unroll q in 0..STEP
      + b$(q)_$v * x$((g * SG + j) * AW + i)_$q
    // @end
    ;
    // @end
    // @end
    // @end
    // @end
    // @end
  }

  // @if SUMS
  if (index % tiles_n == 0u) {
    // @unroll g in 0..R/SG/4*A_M4
    // @unroll i in 0..4
    store_sum(m0 + 4u * ($(g * SG)u + lane) + $(i)u, all$g[$i]);
    // @end
    // @end
    // @unroll g in 0..R/SG*A_M1
    store_sum(m0 + $(g * SG)u + lane, all$g);
    // @end
  }
  // @end

  // @unroll g in 0..C*BIAS
  let bias$g = bias_of(n0 + $(4 * g * SG)u);
  // @end
  // Row by row: a store unrolled per row would make a software adapter compile for seconds.
  let rows = select(R, min(R, M - m0), BROADCAST == 1u);
  for (var r = 0u; r < rows; r++) {
    let m = m0 + ((r / AW) ^ (lane * QUAD)) * AW + r % AW;
    // @unroll g in 0..C
    var x$g = vec4f(s0_$(4 * g), s0_$(4 * g + 1), s0_$(4 * g + 2), s0_$(4 * g + 3));
    // @unroll i in 1..R
    x$g = select(x$g, vec4f(s$(i)_$(4 * g), s$(i)_$(4 * g + 1), s$(i)_$(4 * g + 2), s$(i)_$(4 * g + 3)), r == $(i)u);
    // @end
    // @end
    // @unroll g in 0..C*BIAS
    x$g += bias$g;
    // @end
    // @unroll g in 0..C
    store(x$g, z, m, n0 + $(4 * g * SG)u);
    // @end
  }
}

fn met_0(v: f32) -> f32 { return v; }
// @if QUAD
fn met_1(v: f32) -> f32 { return quadSwapX(v); }
fn met_2(v: f32) -> f32 { return quadSwapY(v); }
fn met_3(v: f32) -> f32 { return quadSwapDiagonal(v); }
// @end

fn store_sum(m: u32, value: f32) {
  if (m < params.M) { sums[m] = select(0.0, sums[m], params.accumulate == 1u) + value; }
}
