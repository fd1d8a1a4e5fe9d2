// Matrix product, c[M,N] = a b, for GPUs: a tile of TM x TN per workgroup, RM x RN of it per invocation.
//   NN  a[M,K] b[K,N]     NT  a[M,K] b[N,K]     TN  a[K,M] b[K,N]
// matmul_operands.wgsl and matmul_epilogue.wgsl stand before this text: how a and b are read; what happens to a sum, and where
// it goes.
// KT values of k of the tile's rows of a and columns of b pass through workgroup memory, vectors of four neighbours along m or n,
// laid out [k][m] and [k][n] whatever the layout. Invocations fetch blocks of 4 values of k by 4 neighbours, so that an operand
// whose rows run along k is transposed in registers; lanes are counted along the operand's rows, so that neighbours read
// neighbouring vectors. The next blocks are fetched into registers while those in workgroup memory are multiplied.
// An invocation's rows are RM/4 fours, TM/RM fours apart, its columns likewise: neighbouring lanes read and store
// neighbouring vectors. No two of eight lanes meet in a bank of workgroup memory: when lanes that hold the same neighbours at
// several k store side by side, SWAP moves them apart, as it moves those who read.
// With RANK there are many products, and their matrices lie one after the other in c, for each part of K.
// With SLICES a small result keeps more invocations busy; what they summed meets in workgroup memory, and is added in their order.
// Sums may be fewer values of k than KT at the end of a part: what lies there counts as 0. What lies past a tile's last row or
// column is some other value of the operand, and its sum is not stored.

const WG: u32 = 256; // TM / RM * TN / RN * SLICES
const TM: u32 = 128; // rows of a tile, a multiple of 8 RM
const TN: u32 = 128; // columns, a multiple of 8 RN
const RM: u32 = 8; // rows per invocation: 4 or 8
const RN: u32 = 8; // columns per invocation: 4 or 8
const KT: u32 = 16; // a multiple of 16; KT (TM + TN) values are in workgroup memory
const SLICES: u32 = 1; // 2 or more, without HALVES: so many invocations share a piece of the tile, each taking every SLICES-th four values of k
const A_T: u32 = 0; // 1: a[K,M]
const B_T: u32 = 0; // 1: b[N,K]
const A_V: u32 = 1; // 1: rows of a are whole vectors of four
const B_V: u32 = 1; // the same of b
const HALVES: u32 = 0; // 1, with A_16 and B_16: tiles hold halves, which the feature shader-f16 multiplies as they are
const SUMS: u32 = 0; // 1, A_T: sums[splits,M] = (+=) the sums of a over K, which are a bias's gradient beside its weight's

const QUADS: u32 = KT / 4u; // blocks along k
const MQ: u32 = TM / 4u; // blocks along m
const NQ: u32 = TN / 4u; // blocks along n
const BLOCKS_A: u32 = QUADS * MQ;
const BLOCKS: u32 = QUADS * (MQ + NQ);
const FETCHES: u32 = (BLOCKS + WG - 1u) / WG; // blocks per invocation
const AM: u32 = TM / RM; // invocations along m
const AN: u32 = TN / RN; // invocations along n
const CELLS: u32 = AM * AN;
const SWAP: u32 = 1u + 4u / QUADS;
const A_UNIT: u32 = 1u + 3u * A_V; // values of a that an index counts
const B_UNIT: u32 = 1u + 3u * B_V;

// @if HALVES
enable f16;
alias Four = vec4h;
alias Block = mat4x4h;
fn four_a(i: u32) -> Four { return vec4h(unpack4(a4[i])); }
fn four_b(i: u32) -> Four { return vec4h(unpack4(b4[i])); }
// @else
alias Four = vec4f;
alias Block = mat4x4f;
// @if A_V
fn four_a(i: u32) -> Four { return a_4(i); }
// @else
fn four_a(i: u32) -> Four { return vec4f(a_1(i), a_1(i + 1u), a_1(i + 2u), a_1(i + 3u)); }
// @end
// @if B_V
fn four_b(i: u32) -> Four { return b_4(i); }
// @else
fn four_b(i: u32) -> Four { return vec4f(b_1(i), b_1(i + 1u), b_1(i + 2u), b_1(i + 3u)); }
// @end
// @end

var<workgroup> tiles: array<Four, KT * (MQ + NQ)>; // of a, then of b

// @if SUMS
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
// Sums of blocks, where the tiles were: 16 KiB is all there is.
// @if HALVES
var<workgroup> block_sums: array<vec4f, BLOCKS_A>;
fn keep_sum(i: u32, v: vec4f) { block_sums[i] = v; }
fn sum_of(i: u32) -> vec4f { return block_sums[i]; }
// @else
fn keep_sum(i: u32, v: vec4f) { tiles[i] = v; }
fn sum_of(i: u32) -> vec4f { return tiles[i]; }
// @end
fn store_sum(z: u32, m: u32, value: f32) {
  let i = z * params.M + m;
  if (m < params.M) { sums[i] = select(0.0, sums[i], params.accumulate == 1u) + value; }
}
// @end

// The block of a, or of b, whose four vectors lie at `at`, a column for each k; only its first `left` values of k count.
fn fetch(of_a: bool, at: vec4u, left: u32) -> Block {
  var block: Block;
  if (of_a) {
    // @if A_T
    block = Block(four_a(at.x), four_a(at.y), four_a(at.z), four_a(at.w));
    // @else
    block = transpose(Block(four_a(at.x), four_a(at.y), four_a(at.z), four_a(at.w)));
    // @end
  } else {
    // @if B_T
    block = transpose(Block(four_b(at.x), four_b(at.y), four_b(at.z), four_b(at.w)));
    // @else
    block = Block(four_b(at.x), four_b(at.y), four_b(at.z), four_b(at.w));
    // @end
  }
  if (left < 4u) {
    // @unroll j in 0..4
    block[$j] = select(Four(), block[$j], $(j)u < left);
    // @end
  }
  return block;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let tiles_n = (N + TN - 1u) / TN;
  let tiles_m = (M + TM - 1u) / TM;
  let index = group_index(wid, count);
  let band = index / tiles_n;
  let matrix = band / tiles_m;
  // @if RANK
  let z = matrix / params.batches;
  var rest = matrix % params.batches;
  var a0 = 0u;
  var b0 = 0u;
  // @unroll d in 0..RANK
  a0 += rest % params.d$d * params.a_step$d;
  b0 += rest % params.d$d * params.b_step$d;
  rest = rest / params.d$d;
  // @end
  // @else
  let z = matrix;
  let a0 = 0u;
  let b0 = 0u;
  // @end
  if (z >= params.splits) { return; }
  let m0 = (band % tiles_m) * TM;
  let n0 = (index % tiles_n) * TN;
  let part = ((K + params.splits - 1u) / params.splits + KT - 1u) & ~(KT - 1u);
  let start = min(z * part, K);
  let end = min(start + part, K);

  // Of this invocation's blocks: where their vectors lie, how far apart the next tile's are, where they go in workgroup memory,
  // and their first k within the tile.
  // @unroll i in 0..FETCHES
  let e$i = local + $(i * WG)u;
  let of_a$i = e$i < BLOCKS_A;
  var at$i: vec4u;
  var by$i: u32;
  var quad$i: u32; // along k
  var four$i: u32; // along m or n
  if (of_a$i) {
    // @if A_T
    quad$i = e$i / MQ;
    four$i = e$i % MQ;
    at$i = (a0 + (start + 4u * quad$i + vec4u(0u, 1u, 2u, 3u)) * M + min(m0 + 4u * four$i, M - 1u)) / A_UNIT;
    by$i = KT * M / A_UNIT;
    // @else
    quad$i = e$i % QUADS;
    four$i = e$i / QUADS;
    at$i = (a0 + min(vec4u(m0 + 4u * four$i) + vec4u(0u, 1u, 2u, 3u), vec4u(M - 1u)) * K + start + 4u * quad$i) / A_UNIT;
    by$i = KT / A_UNIT;
    // @end
  } else {
    let e = e$i - BLOCKS_A;
    // @if B_T
    quad$i = e % QUADS;
    four$i = e / QUADS;
    at$i = (b0 + min(vec4u(n0 + 4u * four$i) + vec4u(0u, 1u, 2u, 3u), vec4u(N - 1u)) * K + start + 4u * quad$i) / B_UNIT;
    by$i = KT / B_UNIT;
    // @else
    quad$i = e / NQ;
    four$i = e % NQ;
    at$i = (b0 + (start + 4u * quad$i + vec4u(0u, 1u, 2u, 3u)) * N + min(n0 + 4u * four$i, N - 1u)) / B_UNIT;
    by$i = KT * N / B_UNIT;
    // @end
  }
  let width$i = select(NQ, MQ, of_a$i);
  let to$i = select(KT * MQ, 0u, of_a$i) + 4u * quad$i * width$i + (four$i ^ (quad$i * SWAP % 8u));
  // @end

  let slice = local / CELLS;
  let cell = local % CELLS;
  let my_m = cell / AN; // in fours; the next of its rows are AM fours on
  let my_n = cell % AN;
  // @unroll r in 0..RM
  // @unroll g in 0..RN/4
  var s$(r)_$g = vec4f();
  // @end
  // @end
  // @unroll i in 0..FETCHES*SUMS
  var all$i = vec4f();
  // @end

  // @unroll i in 0..FETCHES
  var block$i: Block;
  // @end
  for (var k = start; ; k += KT) {
    // This tile's blocks are under way while the last one's are multiplied.
    if (k < end) {
      // @unroll i in 0..FETCHES
      if (e$i < BLOCKS) { block$i = fetch(of_a$i, at$i, end - min(k + 4u * quad$i, end)); }
      at$i += vec4u(by$i);
      // @end
    }
    if (k > start) {
      // Four values of k without a branch; drivers unroll more where it gains something.
      for (var p = slice; p < QUADS; p += SLICES) {
        let rows = p * (4u * MQ) + (my_m ^ (p * SWAP % 8u));
        let columns = KT * MQ + p * (4u * NQ) + (my_n ^ (p * SWAP % 8u));
        // @unroll q in 0..4
        // @unroll h in 0..RM/4
        let a$(q)_$h = vec4f(tiles[rows + $(q * MQ + h * AM)u]);
        // @end
        // @unroll g in 0..RN/4
        let b$(q)_$g = vec4f(tiles[columns + $(q * NQ + g * AN)u]);
        // @end
        // @unroll r in 0..RM
        // @unroll g in 0..RN/4
        s$(r)_$g = fma(vec4f(a$(q)_$(r / 4)[$(r % 4)]), b$(q)_$g, s$(r)_$g);
        // @end
        // @end
        // @end
      }
    }
    if (k >= end) { break; }
    workgroupBarrier();
    // @unroll i in 0..FETCHES
    if (e$i < BLOCKS) {
      // @unroll j in 0..4
      tiles[to$i + $(j)u * width$i] = block$i[$j];
      // @end
      // @if SUMS
      all$i += vec4f(block$i[0]) + vec4f(block$i[1]) + vec4f(block$i[2]) + vec4f(block$i[3]);
      // @end
    }
    // @end
    workgroupBarrier();
  }

  // @if SUMS
  // Each block's sum over its values of k, then over the blocks along k in order.
  workgroupBarrier();
  // @unroll i in 0..FETCHES
  if (of_a$i) { keep_sum(quad$i * MQ + four$i, all$i); }
  // @end
  workgroupBarrier();
  if (n0 == 0u) {
    for (var f = local; f < MQ; f += WG) {
      var total = vec4f();
      for (var q = 0u; q < QUADS; q++) { total += sum_of(q * MQ + f); }
      // @unroll j in 0..4
      store_sum(z, m0 + 4u * f + $(j)u, total[$j]);
      // @end
    }
  }
  // @end

  // @unroll g in 0..RN/4*BIAS
  let bias$g = bias_of(n0 + 4u * (my_n + $(g * AN)u));
  // @end
  // @if SLICES/2
  // Each slice takes every SLICES-th row of the cell.
  workgroupBarrier();
  // @unroll r in 0..RM
  // @unroll g in 0..RN/4
  tiles[(slice * $(RM * RN / 4)u + $(r * RN / 4 + g)u) * CELLS + cell] = s$(r)_$g;
  // @end
  // @end
  workgroupBarrier();
  for (var r = slice; r < RM; r += SLICES) {
    // @unroll g in 0..RN/4
    var x$g = vec4f();
    for (var i = 0u; i < SLICES; i++) { x$g += tiles[(i * $(RM * RN / 4)u + r * $(RN / 4)u + $(g)u) * CELLS + cell]; }
    // @end
  // @else
  // Row by row: the epilogue once in the text.
  for (var r = 0u; r < RM; r++) {
    // @unroll g in 0..RN/4
    var x$g = s0_$g;
    // @unroll i in 1..RM
    x$g = select(x$g, s$(i)_$g, r == $(i)u);
    // @end
    // @end
    // @end
    // @unroll g in 0..RN/4*BIAS
    x$g += bias$g;
    // @end
    // @unroll g in 0..RN/4
    store(x$g, matrix, m0 + 4u * (my_m + r / 4u * AM) + r % 4u, n0 + 4u * (my_n + $(g * AN)u));
    // @end
  }
}
