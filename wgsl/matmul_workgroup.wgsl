// Matrix product, c[M,N] = a b, for GPUs: a tile of 64 x 64 per workgroup, RM x 4 CN of it per invocation.
//   NN  a[M,K] b[K,N]     NT  a[M,K] b[N,K]     TN  a[K,M] b[K,N]
// matmul_operands.wgsl and matmul_epilogue.wgsl stand before this text: how a and b are read; what happens to a sum, and where
// it goes.
// KT values of k of the tile's rows of a and columns of b pass through workgroup memory, 64 KT floats each, laid out
// [k][m] and [k][n] whatever the layout, and loaded so that neighbouring invocations read neighbouring memory.
// Past an edge zeros are put there.

const WG: u32 = 128; // 64 / RM * 16 / CN
const RM: u32 = 4; // rows per invocation
const CN: u32 = 2; // groups of four columns per invocation, 64 / CN columns apart
const KT: u32 = 16;
const A_T: u32 = 0; // 1: a[K,M]
const B_T: u32 = 0; // 1: b[N,K]
const ROW: u32 = 65; // floats between one k and the next: 64 and one more, so that transposing loads spread over banks

var<workgroup> tile_a: array<f32, KT * ROW>;
var<workgroup> tile_b: array<f32, KT * ROW>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let tiles_n = (N + 63u) / 64u;
  let tiles_m = (M + 63u) / 64u;
  let index = group_index(wid, count);
  let band = index / tiles_n;
  let z = band / tiles_m;
  if (z >= params.splits) { return; }
  let m0 = (band % tiles_m) * 64u;
  let n0 = (index % tiles_n) * 64u;
  let part = ((K + params.splits - 1u) / params.splits + 3u) & ~3u;
  let start = min(z * part, K);
  let end = min(start + part, K);
  let my_m = local / (16u / CN) * RM;
  let my_n = local % (16u / CN) * 4u;

  // @unroll r in 0..RM
  // @unroll g in 0..CN
  var s$(r)_$g = vec4f();
  // @end
  // @end

  for (var k = start; k < end; k += KT) {
    for (var e = local; e < 64u * KT; e += WG) {
      // @if A_T
      let ak = e / 64u;
      let am = e % 64u;
      let ai = (k + ak) * M + m0 + am;
      // @else
      let ak = e % KT;
      let am = e / KT;
      let ai = (m0 + am) * K + k + ak;
      // @end
      // @if B_T
      let bk = e % KT;
      let bn = e / KT;
      let bi = (n0 + bn) * K + k + bk;
      // @else
      let bk = e / 64u;
      let bn = e % 64u;
      let bi = (k + bk) * N + n0 + bn;
      // @end
      var va = 0.0;
      var vb = 0.0;
      if (m0 + am < M && k + ak < end) { va = a_1(ai); }
      if (n0 + bn < N && k + bk < end) { vb = b_1(bi); }
      tile_a[ak * ROW + am] = va;
      tile_b[bk * ROW + bn] = vb;
    }
    workgroupBarrier();
    for (var q = 0u; q < KT; q++) {
      // @unroll g in 0..CN
      let bi$g = q * ROW + my_n + $(g * 64 / CN)u;
      let b$g = vec4f(tile_b[bi$g], tile_b[bi$g + 1u], tile_b[bi$g + 2u], tile_b[bi$g + 3u]);
      // @end
      // @unroll r in 0..RM
      let a$r = tile_a[q * ROW + my_m + $(r)u];
      // @unroll g in 0..CN
      s$(r)_$g += a$r * b$g;
      // @end
      // @end
    }
    workgroupBarrier();
  }

  // @unroll g in 0..CN*BIAS
  let bias$g = bias_of(n0 + my_n + $(g * 64 / CN)u);
  // @end
  // @unroll r in 0..RM*BIAS
  // @unroll g in 0..CN
  s$(r)_$g += bias$g;
  // @end
  // @end
  // @unroll r in 0..RM
  // @unroll g in 0..CN
  store(s$(r)_$g, z, m0 + my_m + $(r)u, n0 + my_n + $(g * 64 / CN)u);
  // @end
  // @end
}
