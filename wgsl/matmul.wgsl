// Matrix product, c[M,N] = a b, one tile of R rows by 4 C columns per invocation, held in registers.
//   NN  a[M,K] b[K,N]     NT  a[M,K] b[N,K]     TN  a[K,M] b[K,N]
// matmul_operands.wgsl and matmul_epilogue.wgsl stand before this text: how a and b are read; what happens to a sum, and where
// it goes.
// A storage load costs a software adapter as much as twenty multiply-adds, so the tile is as large as the registers bear
// and K is taken STEP at a time (4, with vec4 loads where rows divide by 4, suits SwiftShader and GPUs; 1 suits lavapipe,
// where unrolling loads costs compile time and instruction cache). Tiles past an edge read the last row or column again
// and store nothing there, so that one pipeline serves all sizes.
// The constants that are 0 or 1 keep or drop lines, by an `@if` or as a factor in an `@unroll`: how a, b and c lie in memory.

const WG: u32 = 8;
const R: u32 = 8; // rows of a tile
const C: u32 = 2; // groups of four columns of a tile
const LANES_M: u32 = 2; // neighbouring invocations along m, so that their loads overlap in both directions
const A_K4: u32 = 1; // a[M,K] as vec4f
const A_K1: u32 = 0; // a[M,K] as f32
const A_M4: u32 = 0; // a[K,M] as vec4f
const A_M1: u32 = 0; // a[K,M] as f32
const B_N4: u32 = 1; // b[K,N] as vec4f
const B_N1: u32 = 0; // b[K,N] as f32
const B_K4: u32 = 0; // b[N,K] as vec4f
const B_K1: u32 = 0; // b[N,K] as f32
const STEP: u32 = 4; // of k, a power of two; 4 where A_K4 or B_K4 is 1
const SUMS: u32 = 0; // 1, TN: sums[M] = (+=) the sums of a over K, which are a bias's gradient beside its weight's
const PASSES: u32 = 1; // 2: K is not a multiple of STEP, and a second loop takes the rest one by one

@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let tiles_n = (N + 4u * C - 1u) / (4u * C);
  let bands = (M + LANES_M * R - 1u) / (LANES_M * R);
  let index = invocation_index(wid, count, local, WG);
  let band = index / (LANES_M * tiles_n);
  let z = band / bands;
  if (z >= params.splits) { return; }
  let m0 = ((band % bands) * LANES_M + index % LANES_M) * R;
  let n0 = (index / LANES_M % tiles_n) * C; // in groups of four
  let part = ((K + params.splits - 1u) / params.splits + 3u) & ~3u;
  let start = min(z * part, K);
  let end1 = min(start + part, K);
  let end0 = start + ((end1 - start) & ~(STEP - 1u));

  // Where in a and b this tile's rows and columns begin.
  // @unroll r in 0..R*A_K4
  let ra$r = min(m0 + $(r)u, M - 1u) * (K >> 2u);
  // @end
  // @unroll r in 0..R*A_K1
  let ra$r = min(m0 + $(r)u, M - 1u) * K;
  // @end
  // @unroll g in 0..R/4*A_M4
  let ra$g = min((m0 >> 2u) + $(g)u, (M >> 2u) - 1u);
  // @end
  // @unroll r in 0..R*A_M1
  let ra$r = min(m0 + $(r)u, M - 1u);
  // @end
  // @unroll g in 0..C*B_N4
  let cb$g = min(n0 + $(g)u, (N >> 2u) - 1u);
  // @end
  // @unroll j in 0..4*C*B_N1
  let cb$j = min(n0 * 4u + $(j)u, N - 1u);
  // @end
  // @unroll j in 0..4*C*B_K4
  let cb$j = min(n0 * 4u + $(j)u, N - 1u) * (K >> 2u);
  // @end
  // @unroll j in 0..4*C*B_K1
  let cb$j = min(n0 * 4u + $(j)u, N - 1u) * K;
  // @end

  // @unroll r in 0..R
  // @unroll g in 0..C
  var s$(r)_$g = vec4f();
  // @end
  // @end

  // @unroll r in 0..R*SUMS
  var all$r = 0.0;
  // @end

  var k = start;
  // @unroll pass in 0..PASSES
  for (; k < end$pass; k += $(STEP * (1 - pass) + pass)u) {
    // aR_Q = a[m0 + R, k + Q]
    // @unroll r in 0..R*A_K4*(1-pass)
    let va$r = a_4(ra$r + (k >> 2u));
    // @unroll q in 0..4
    let a$(r)_$q = va$r[$q];
    // @end
    // @end
    // @unroll q in 0..STEP*(1-pass)+pass
    // @unroll r in 0..R*A_K1
    let a$(r)_$q = a_1(ra$r + k + $(q)u);
    // @end
    // @unroll g in 0..R/4*A_M4
    let va$(q)_$g = a_4((k + $(q)u) * (M >> 2u) + ra$g);
    // @unroll i in 0..4
    let a$(4 * g + i)_$q = va$(q)_$g[$i];
    // @end
    // @end
    // @unroll r in 0..R*A_M1
    let a$(r)_$q = a_1((k + $(q)u) * M + ra$r);
    // @end
    // @end

    // bQ_G = b[k + Q, 4 (n0 + G) …]
    // @unroll j in 0..4*C*B_K4*(1-pass)
    let vb$j = b_4(cb$j + (k >> 2u));
    // @end
    // @unroll q in 0..STEP*(1-pass)+pass
    // @unroll g in 0..C*B_K4*(1-pass)
    let b$(q)_$g = vec4f(vb$(4 * g)[$q], vb$(4 * g + 1)[$q], vb$(4 * g + 2)[$q], vb$(4 * g + 3)[$q]);
    // @end
    // @unroll g in 0..C*B_K1
    let b$(q)_$g = vec4f(b_1(cb$(4 * g) + k + $(q)u), b_1(cb$(4 * g + 1) + k + $(q)u), b_1(cb$(4 * g + 2) + k + $(q)u), b_1(cb$(4 * g + 3) + k + $(q)u));
    // @end
    // @unroll g in 0..C*B_N4
    let b$(q)_$g = b_4((k + $(q)u) * (N >> 2u) + cb$g);
    // @end
    // @unroll g in 0..C*B_N1
    let b$(q)_$g = vec4f(b_1((k + $(q)u) * N + cb$(4 * g)), b_1((k + $(q)u) * N + cb$(4 * g + 1)), b_1((k + $(q)u) * N + cb$(4 * g + 2)), b_1((k + $(q)u) * N + cb$(4 * g + 3)));
    // @end
    // @end

    // @unroll r in 0..R*SUMS
    all$r = all$r
    // @unroll q in 0..STEP*(1-pass)+pass
      + a$(r)_$q
    // @end
    ;
    // @end
    // @unroll r in 0..R
    // @unroll g in 0..C
    s$(r)_$g = s$(r)_$g
    // @unroll q in 0..STEP*(1-pass)+pass
      + a$(r)_$q * b$(q)_$g
    // @end
    ;
    // @end
    // @end
  }
  // @end

  // @if SUMS
  if (n0 == 0u) {
    // @unroll r in 0..R
    if (m0 + $(r)u < M) { sums[m0 + $(r)u] = select(0.0, sums[m0 + $(r)u], params.accumulate == 1u) + all$r; }
    // @end
  }
  // @end

  // @unroll g in 0..C*BIAS
  let bias$g = bias_of((n0 + $(g)u) * 4u);
  // @end
  // Row by row: a store unrolled per row would make a software adapter compile for seconds.
  for (var r = 0u; r < R && m0 + r < M; r++) {
    // @unroll g in 0..C
    var x$g = s0_$g;
    // @unroll i in 1..R
    x$g = select(x$g, s$(i)_$g, r == $(i)u);
    // @end
    // @end
    // @unroll g in 0..C*BIAS
    x$g += bias$g;
    // @end
    // @unroll g in 0..C
    store(x$g, z, m0 + r, (n0 + $(g)u) * 4u);
    // @end
  }
}
