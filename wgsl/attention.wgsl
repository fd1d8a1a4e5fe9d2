// Scaled dot-product attention over packed rows: token t of row b, cu_seqlens[b] <= t < cu_seqlens[b+1], attends to the
// tokens j of that row that are keys (key_mask 1).
//   qkv[T,3,A,D]  key_mask[T]  cu_seqlens[B+1]  out, dout[T,A,D]  lse, delta[T,A]  dqkv[T,3,A,D]; D counts E
//   forward     s_j = scale q·k_j, lse = log sum exp s_j, out = sum f_j exp(s_j - lse) v_j
//   backward_q  dq = scale sum ds_j k_j,  ds_j = w_j (f_j dout·v_j - delta),  w_j = exp(s_j - lse),  delta = dout·out
//   backward_kv dk = scale sum ds q,  dv = sum f w dout,  sums over the row's queries
// Everything is overwritten. f is the dropout factor, 0 or `keep`, drawn again in the backward pass: word j mod 4 of
// philox(counter [t A + a, j / 4, step, 1], key [seed, layer]), j counted within the row. Rows without a key: out 0, lse 0.
// Online softmax (Milakov and Gimelshein 2018) and saved lse as in FlashAttention-2 (Dao 2023): no S x S tensor.
// One invocation takes one head of N neighbouring tokens of a row, and goes through the row by tiles of M tokens: first
// the N x M scores, then what they add to its N results, which lie in memory from tile to tile. So each load serves N or
// M products, and only the scores are in registers, whatever D. Where a row has fewer tokens left, its last one is taken
// again: as one of the N it stores the same numbers twice, as one of the M it weighs 0. Sums are in a fixed order.
// With F16, qkv, dout and the out that the backward pass reads are halves; results, which are added to from tile to tile, are
// float32. attention_packed.wgsl stands before this text: what it reads and writes.

const WG: u32 = 8;
const N: u32 = 4; // divides 4, the words of a draw
const M: u32 = 8; // a multiple of 4

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.slots * params.A) { return; }
  let block = block_of(unit);
  if (block.first >= block.end) { return; }
  // @unroll n in 0..N
  let i$n = min(block.first + $(n)u, block.end - 1u) * params.A + block.a;
  let q_at$n = at(min(block.first + $(n)u, block.end - 1u), 0u, block.a);
  var top$n = -3.0e38; // largest score so far
  var total$n = 0.0; // sum of exp(score - top)
  // @end
  for (var j0 = block.start; j0 < block.end; j0 += M) {
    // @unroll m in 0..M
    let j$m = min(j0 + $(m)u, block.end - 1u);
    let key$m = (j0 + $(m)u < block.end) & (key_mask[j$m] != 0u);
    let k_at$m = at(j$m, 1u, block.a);
    let v_at$m = at(j$m, 2u, block.a);
    // @unroll n in 0..N
    var dot$(n)_$m = 0.0;
    // @end
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      let q$n = load(qkv[q_at$n + g]);
      // @end
      // @unroll m in 0..M
      let k$m = load(qkv[k_at$m + g]);
      // @unroll n in 0..N
      dot$(n)_$m += inner(q$n, k$m);
      // @end
      // @end
    }
    // @unroll n in 0..N
    var highest$n = top$n;
    // @unroll m in 0..M
    let score$(n)_$m = select(-3.0e38, params.scale * dot$(n)_$m, key$m);
    highest$n = max(highest$n, score$(n)_$m);
    // @end
    let decay$n = exp(top$n - highest$n);
    top$n = highest$n;
    total$n *= decay$n;
    // @unroll m in 0..M
    var w$(n)_$m = select(0.0, exp(score$(n)_$m - highest$n), key$m);
    total$n += w$(n)_$m;
    // @end
    // @unroll four in 0..M*DROP/4
    let words$(n)_$four = draw(i$n, (j0 - block.start) / 4u + $(four)u);
    // @unroll c in 0..4
    w$(n)_$(four * 4 + c) *= factor(words$(n)_$four[$c]);
    // @end
    // @end
    let last$n = select(1.0, select(0.0, 1.0 / total$n, total$n > 0.0), j0 + M >= block.end);
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      var o$n = E();
      // @end
      if (j0 > block.start) {
        // @unroll n in 0..N
        o$n = decay$n * out[i$n * params.D + g];
        // @end
      }
      // @unroll m in 0..M
      let v$m = load(qkv[v_at$m + g]);
      // @unroll n in 0..N
      o$n += w$(n)_$m * v$m;
      // @end
      // @end
      // @unroll n in 0..N
      out[i$n * params.D + g] = last$n * o$n;
      // @end
    }
  }
  // @unroll n in 0..N
  lse_out[i$n] = select(0.0, top$n + log(total$n), total$n > 0.0);
  // @end
}

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.slots * params.A) { return; }
  let block = block_of(unit);
  if (block.first >= block.end) { return; }
  // @unroll n in 0..N
  let i$n = min(block.first + $(n)u, block.end - 1u) * params.A + block.a;
  let q_at$n = at(min(block.first + $(n)u, block.end - 1u), 0u, block.a);
  let lse$n = lse[i$n];
  var delta$n = 0.0;
  // @end
  for (var g = 0u; g < params.D; g++) {
    // @unroll n in 0..N
    delta$n += inner(load(dout[i$n * params.D + g]), load(out_in[i$n * params.D + g]));
    // @end
  }
  // @unroll n in 0..N
  delta_out[i$n] = delta$n;
  // @end
  for (var j0 = block.start; j0 < block.end; j0 += M) {
    // @unroll m in 0..M
    let j$m = min(j0 + $(m)u, block.end - 1u);
    let key$m = (j0 + $(m)u < block.end) & (key_mask[j$m] != 0u);
    let k_at$m = at(j$m, 1u, block.a);
    let v_at$m = at(j$m, 2u, block.a);
    // @unroll n in 0..N
    var score$(n)_$m = 0.0;
    var dweight$(n)_$m = 0.0;
    // @end
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      let q$n = load(qkv[q_at$n + g]);
      // @end
      // @unroll m in 0..M
      let k$m = load(qkv[k_at$m + g]);
      // @unroll n in 0..N
      score$(n)_$m += inner(q$n, k$m);
      // @end
      // @end
    }
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      let dy$n = load(dout[i$n * params.D + g]);
      // @end
      // @unroll m in 0..M
      let v$m = load(qkv[v_at$m + g]);
      // @unroll n in 0..N
      dweight$(n)_$m += inner(dy$n, v$m);
      // @end
      // @end
    }
    // @unroll n in 0..N
    // @unroll four in 0..M*DROP/4
    let words$(n)_$four = draw(i$n, (j0 - block.start) / 4u + $(four)u);
    // @unroll c in 0..4
    dweight$(n)_$(four * 4 + c) *= factor(words$(n)_$four[$c]);
    // @end
    // @end
    // @unroll m in 0..M
    let w$(n)_$m = exp(params.scale * score$(n)_$m - lse$n);
    let ds$(n)_$m = select(0.0, params.scale * w$(n)_$m * (dweight$(n)_$m - delta$n), key$m);
    // @end
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      var dq$n = E();
      // @end
      if (j0 > block.start) {
        // @unroll n in 0..N
        dq$n = dqkv[q_at$n + g];
        // @end
      }
      // @unroll m in 0..M
      let k$m = load(qkv[k_at$m + g]);
      // @unroll n in 0..N
      dq$n += ds$(n)_$m * k$m;
      // @end
      // @end
      // @unroll n in 0..N
      dqkv[q_at$n + g] = dq$n;
      // @end
    }
  }
}

// The N tokens are keys here, the M queries.
@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit >= params.slots * params.A) { return; }
  let block = block_of(unit);
  if (block.first >= block.end) { return; }
  // @unroll n in 0..N
  let j$n = min(block.first + $(n)u, block.end - 1u);
  let key$n = key_mask[j$n] != 0u;
  let k_at$n = at(j$n, 1u, block.a);
  let v_at$n = at(j$n, 2u, block.a);
  // @end
  for (var t0 = block.start; t0 < block.end; t0 += M) {
    // @unroll m in 0..M
    let t$m = min(t0 + $(m)u, block.end - 1u);
    let i$m = t$m * params.A + block.a;
    let q_at$m = at(t$m, 0u, block.a);
    // @unroll n in 0..N
    var score$(n)_$m = 0.0;
    var dweight$(n)_$m = 0.0;
    // @end
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      let k$n = load(qkv[k_at$n + g]);
      // @end
      // @unroll m in 0..M
      let q$m = load(qkv[q_at$m + g]);
      // @unroll n in 0..N
      score$(n)_$m += inner(q$m, k$n);
      // @end
      // @end
    }
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      let v$n = load(qkv[v_at$n + g]);
      // @end
      // @unroll m in 0..M
      let dy$m = load(dout[i$m * params.D + g]);
      // @unroll n in 0..N
      dweight$(n)_$m += inner(dy$m, v$n);
      // @end
      // @end
    }
    // @unroll m in 0..M
    let lse$m = lse[i$m];
    let delta$m = delta[i$m];
    // @if DROP
    let words$m = draw(i$m, (block.first - block.start) / 4u);
    // @end
    // @unroll n in 0..N
    let counts$(n)_$m = key$n & (t0 + $(m)u < block.end);
    // @if DROP
    let f$(n)_$m = factor(words$m[(j$n - block.start) % 4u]);
    // @else
    let f$(n)_$m = 1.0;
    // @end
    let w$(n)_$m = exp(params.scale * score$(n)_$m - lse$m);
    let ds$(n)_$m = select(0.0, params.scale * w$(n)_$m * (f$(n)_$m * dweight$(n)_$m - delta$m), counts$(n)_$m);
    let fw$(n)_$m = select(0.0, f$(n)_$m * w$(n)_$m, counts$(n)_$m);
    // @end
    // @end
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      var dk$n = E();
      // @end
      if (t0 > block.start) {
        // @unroll n in 0..N
        dk$n = dqkv[k_at$n + g];
        // @end
      }
      // @unroll m in 0..M
      let q$m = load(qkv[q_at$m + g]);
      // @unroll n in 0..N
      dk$n += ds$(n)_$m * q$m;
      // @end
      // @end
      // @unroll n in 0..N
      dqkv[k_at$n + g] = dk$n;
      // @end
    }
    for (var g = 0u; g < params.D; g++) {
      // @unroll n in 0..N
      var dv$n = E();
      // @end
      if (t0 > block.start) {
        // @unroll n in 0..N
        dv$n = dqkv[v_at$n + g];
        // @end
      }
      // @unroll m in 0..M
      let dy$m = load(dout[i$m * params.D + g]);
      // @unroll n in 0..N
      dv$n += fw$(n)_$m * dy$m;
      // @end
      // @end
      // @unroll n in 0..N
      dqkv[v_at$n + g] = dv$n;
      // @end
    }
  }
}
