// Matrix product, c[M,N] = a b, by the matrix units of a GPU (tensor cores): a tile of 64 x 64 per workgroup. Layouts as in matmul_workgroup.wgsl,
// whose 64 x 64 is its twin; matmul_operands.wgsl and matmul_epilogue.wgsl stand before this text.
// KT values of k of the tile's rows of a and columns of b pass through workgroup memory as they lie in memory, while the next are fetched.
// A subgroup takes a quadrant of 32 x 32, or one of its halves of 32 x 16 where there are eight subgroups, and a matrix unit multiplies
// matrices of BM x BK and BK x BN. What has been summed meets the epilogue in workgroup memory, 32 rows at a time.
// With LANES the units are played by groups of so many invocations, on any adapter: the same text but for what the units do.
// `subgroupMatrixLoad` has had two spellings: with NAMED the order is a name, without it is true for columns.

const WG: u32 = 128; // four subgroups of the most lanes there may be
const A_T: u32 = 0; // 1: a[K,M]
const B_T: u32 = 0; // 1: b[N,K]
const A_V: u32 = 1; // 1: rows of a are whole vectors of four
const B_V: u32 = 1; // the same of b
const BM: u32 = 16; // divides 32
const BN: u32 = 16; // divides 16
const BK: u32 = 16; // divides KT
const HALVES: u32 = 0; // 1, with A_16 and B_16: the units multiply halves, and sum in float32
const LANES: u32 = 0; // 0: there are units
const NAMED: u32 = 0;

const KT: u32 = 16;
const PAD: u32 = 8u * HALVES; // keeps columns of a tile out of the same banks; 16 KiB leave no room for it beside float32
const A_ROW: u32 = KT + 48u * A_T + PAD;
const B_ROW: u32 = 64u - 48u * B_T + PAD;
const A_ROWS: u32 = 64u - 48u * A_T;
const B_ROWS: u32 = KT + 48u * B_T;
const FETCHES: u32 = 256u / WG; // vectors of each operand per invocation
const RI: u32 = 32u / BM;
const RJ: u32 = 16u / BN;
const STEPS: u32 = KT / BK;

// @if HALVES
enable f16;
alias E = f16;
// @else
alias E = f32;
// @end

var<workgroup> tile_a: array<E, A_ROWS * A_ROW>;
var<workgroup> tile_b: array<E, B_ROWS * B_ROW>;
var<workgroup> sums: array<f32, 2048>; // 32 rows of the tile

// @if LANES
const PER: u32 = BM * BN / LANES;
alias Sums = array<f32, PER>;
fn multiply(left: u32, right: u32, lane: u32, before: Sums) -> Sums {
  var after = before;
  for (var e = 0u; e < PER; e++) {
    let m = (lane * PER + e) / BN;
    let n = (lane * PER + e) % BN;
    var sum = 0.0;
    for (var k = 0u; k < BK; k++) {
// @if A_T
      let x = f32(tile_a[left + k * A_ROW + m]);
// @else
      let x = f32(tile_a[left + m * A_ROW + k]);
// @end
// @if B_T
      let y = f32(tile_b[right + n * B_ROW + k]);
// @else
      let y = f32(tile_b[right + k * B_ROW + n]);
// @end
      sum = fma(x, y, sum);
    }
    after[e] += sum;
  }
  return after;
}
fn keep(at: u32, lane: u32, values: Sums) {
  var kept = values;
  for (var e = 0u; e < PER; e++) {
    sums[at + (lane * PER + e) / BN * 64u + (lane * PER + e) % BN] = kept[e];
  }
}
// @else
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // which quadrant is a subgroup's own is the same for its lanes
alias Left = subgroup_matrix_left<E, BK, BM>;
alias Right = subgroup_matrix_right<E, BN, BK>;
alias Sums = subgroup_matrix_result<f32, BN, BM>;
// @end

// Four neighbours of a row of an operand, as it lies; what is past the end of k counts as 0, what is past the last row or column is some other value.
fn fetch_a(i: u32, m0: u32, k0: u32, end: u32) -> vec4f {
// @if A_T
  let k = k0 + i / 16u;
  let m = m0 + 4u * (i % 16u);
  if (k >= end) { return vec4f(); }
  let at = k * params.M;
// @if A_V
  return a_4((at + min(m, params.M - 4u)) / 4u);
// @else
  let last = params.M - 1u;
  return vec4f(a_1(at + min(m, last)), a_1(at + min(m + 1u, last)), a_1(at + min(m + 2u, last)), a_1(at + min(m + 3u, last)));
// @end
// @else
  let k = k0 + 4u * (i % 4u);
  if (k >= end) { return vec4f(); }
  let at = min(m0 + i / 4u, params.M - 1u) * params.K + k;
// @if A_V
  return a_4(at / 4u);
// @else
  let left = end - 1u - k;
  let v = vec4f(a_1(at), a_1(at + min(1u, left)), a_1(at + min(2u, left)), a_1(at + min(3u, left)));
  return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) <= vec4u(left));
// @end
// @end
}
fn fetch_b(i: u32, n0: u32, k0: u32, end: u32) -> vec4f {
// @if B_T
  let k = k0 + 4u * (i % 4u);
  if (k >= end) { return vec4f(); }
  let at = min(n0 + i / 4u, params.N - 1u) * params.K + k;
// @if B_V
  return b_4(at / 4u);
// @else
  let left = end - 1u - k;
  let v = vec4f(b_1(at), b_1(at + min(1u, left)), b_1(at + min(2u, left)), b_1(at + min(3u, left)));
  return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) <= vec4u(left));
// @end
// @else
  let k = k0 + i / 16u;
  let n = n0 + 4u * (i % 16u);
  if (k >= end) { return vec4f(); }
  let at = k * params.N;
// @if B_V
  return b_4((at + min(n, params.N - 4u)) / 4u);
// @else
  let last = params.N - 1u;
  return vec4f(b_1(at + min(n, last)), b_1(at + min(n + 1u, last)), b_1(at + min(n + 2u, last)), b_1(at + min(n + 3u, last)));
// @end
// @end
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32,
// @if LANES
) {
  let lanes = LANES;
// @else
  @builtin(subgroup_size) lanes: u32,
) {
// @end
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let tiles_n = (N + 63u) / 64u;
  let tiles_m = (M + 63u) / 64u;
  let index = group_index(wid, count);
  let band = index / tiles_n;
  let z = band / tiles_m; // which part of K
  if (z >= params.splits) { return; }
  let m0 = (band % tiles_m) * 64u;
  let n0 = (index % tiles_n) * 64u;
  let part = ((K + params.splits - 1u) / params.splits + KT - 1u) & ~(KT - 1u);
  let start = min(z * part, K);
  let end = min(start + part, K);

  let subgroup = local / lanes;
  let lane = local % lanes;
  let quadrant = subgroup % 4u;
  let qm = quadrant / 2u * 32u;
  let qn = quadrant % 2u * 32u;
  let whole = WG / lanes <= 4u; // a subgroup has both halves of its quadrant

// @if LANES
  var s = array<Sums, 2u * RI * RJ>();
// @else
// @unroll h in 0..2
// @unroll i in 0..RI
// @unroll j in 0..RJ
  var s$(h)_$(i)_$j = Sums();
// @end
// @end
// @end
// @end

// @unroll f in 0..FETCHES
  var x$f = vec4f();
  var y$f = vec4f();
// @end
  for (var k = start; ; k += KT) {
    if (k < end) {
// @unroll f in 0..FETCHES
      x$f = fetch_a(local + $(f * WG)u, m0, k, end);
      y$f = fetch_b(local + $(f * WG)u, n0, k, end);
// @end
    }
    if (k > start) {
// @if LANES
      for (var at = 0u; at < STEPS * 2u * RI * RJ; at++) {
        let h = at / (RI * RJ) % 2u;
        if (whole || subgroup / 4u == h) {
          let p = at / (2u * RI * RJ) * BK;
          let m = qm + at / RJ % RI * BM;
          let n = qn + 16u * h + at % RJ * BN;
// @if A_T
          let left = p * A_ROW + m;
// @else
          let left = m * A_ROW + p;
// @end
// @if B_T
          let right = n * B_ROW + p;
// @else
          let right = p * B_ROW + n;
// @end
          s[at % (2u * RI * RJ)] = multiply(left, right, lane, s[at % (2u * RI * RJ)]);
        }
      }
// @else
// @unroll p in 0..STEPS
// @unroll i in 0..RI
// @if NAMED*A_T
      let a$(p)_$i = subgroupMatrixLoad<Left, col_major>(&tile_a, $(p * BK)u * A_ROW + qm + $(i * BM)u, A_ROW);
// @else
// @if NAMED
      let a$(p)_$i = subgroupMatrixLoad<Left, row_major>(&tile_a, (qm + $(i * BM)u) * A_ROW + $(p * BK)u, A_ROW);
// @else
// @if A_T
      let a$(p)_$i = subgroupMatrixLoad<Left>(&tile_a, $(p * BK)u * A_ROW + qm + $(i * BM)u, true, A_ROW);
// @else
      let a$(p)_$i = subgroupMatrixLoad<Left>(&tile_a, (qm + $(i * BM)u) * A_ROW + $(p * BK)u, false, A_ROW);
// @end
// @end
// @end
// @end
// @unroll h in 0..2
      if (whole || subgroup / 4u == $(h)u) {
// @unroll j in 0..RJ
// @if B_T
        let right$j = (qn + $(16 * h + j * BN)u) * B_ROW + $(p * BK)u;
// @else
        let right$j = $(p * BK)u * B_ROW + qn + $(16 * h + j * BN)u;
// @end
// @if NAMED*B_T
        let b$j = subgroupMatrixLoad<Right, col_major>(&tile_b, right$j, B_ROW);
// @else
// @if NAMED
        let b$j = subgroupMatrixLoad<Right, row_major>(&tile_b, right$j, B_ROW);
// @else
        let b$j = subgroupMatrixLoad<Right>(&tile_b, right$j, B_T == 1u, B_ROW);
// @end
// @end
// @unroll i in 0..RI
        s$(h)_$(i)_$j = subgroupMatrixMultiplyAccumulate(a$(p)_$i, b$j, s$(h)_$(i)_$j);
// @end
// @end
      }
// @end
// @end
// @end
    }
    if (k >= end) { break; }
    workgroupBarrier();
// @unroll f in 0..FETCHES
    let i$f = local + $(f * WG)u;
// @if A_T
    let ta$f = i$f / 16u * A_ROW + 4u * (i$f % 16u);
// @else
    let ta$f = i$f / 4u * A_ROW + 4u * (i$f % 4u);
// @end
// @if B_T
    let tb$f = i$f / 4u * B_ROW + 4u * (i$f % 4u);
// @else
    let tb$f = i$f / 16u * B_ROW + 4u * (i$f % 16u);
// @end
// @unroll c in 0..4
    tile_a[ta$f + $(c)u] = E(x$f[$c]);
    tile_b[tb$f + $(c)u] = E(y$f[$c]);
// @end
// @end
    workgroupBarrier();
  }

  for (var r = 0u; r < 2u; r++) {
    if (quadrant / 2u == r) {
// @if LANES
      for (var at = 0u; at < 2u * RI * RJ; at++) {
        let h = at / (RI * RJ);
        let to = at / RJ % RI * BM * 64u + 16u * h + at % RJ * BN + qn;
        if (whole || subgroup / 4u == h) { keep(to, lane, s[at]); }
      }
// @else
// @unroll h in 0..2
      if (whole || subgroup / 4u == $(h)u) {
// @unroll i in 0..RI
// @unroll j in 0..RJ
// @if NAMED
        subgroupMatrixStore<row_major>(&sums, $(i * BM * 64 + 16 * h + j * BN)u + qn, s$(h)_$(i)_$j, 64u);
// @else
        subgroupMatrixStore(&sums, $(i * BM * 64 + 16 * h + j * BN)u + qn, s$(h)_$(i)_$j, false, 64u);
// @end
// @end
// @end
      }
// @end
// @end
    }
    workgroupBarrier();
    for (var i = local; i < 512u; i += WG) {
      let n = n0 + 4u * (i % 16u);
      let at = 4u * i;
      var v = vec4f(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
// @if BIAS
      v += bias_of(n);
// @end
      store(v, z, m0 + 32u * r + i / 16u, n);
    }
    workgroupBarrier();
  }
}
