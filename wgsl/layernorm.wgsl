// Layer normalisation of each row (Ba, Kiros and Hinton 2016), with what stands before and after it. H counts E.
//   forward   x[rows, H] (+ residual), weight[H], bias[H] -> y, mean[rows], rstd[rows] (, sum = x + residual)   overwrites
//             y = n * weight + bias, n = (sum - mean) * rstd, rstd = 1 / sqrt(variance + eps)
//             DROP_IN: dropout of x before the residual sum; RELU, then DROP_OUT: of y. Masks are dropout.wgsl's.
//   backward  dy, sum, weight, mean, rstd (, y) -> dx (, dropped)   overwrites
//             dx = rstd * (g - mean(g) - n * mean(g * n)), g = dy * weight; dropped = dx under DROP_IN's mask
//   columns   dy, sum, mean, rstd (, y) -> partials [2, blocks, H]   overwrites
//             sums over each block of rows of dy * n and, from `second` on, of dy
//   backward_blocks  backward and columns in one, for adapters on which loads are dear and few invocations suffice: BLOCK rows an
//             invocation, whose sums over columns and over rows come from one pass over dy and sum
//   finish    partials -> dweight, dbias [H]   their sums over the blocks; overwrites, or adds with accumulate
// Mean and variance come from one pass (Welford 1962), over values less the row's first: a row of equal values, and so a
// row of one, has variance 0 exactly. The four columns of a vec4f are joined at the end (Chan, Golub and LeVeque 1979).
// An invocation takes ROWS rows, which share the loads of weight and bias; the last row may be taken twice.
// With F16, x, residual, y, sum and the gradients of the rows are halves; statistics are those of the rounded sum, which the
// backward pass reads. layernorm_values.wgsl stands before this text: how values are read and written.

const WG: u32 = 16;
const ROWS: u32 = 2;
const BLOCK: u32 = 2; // rows an invocation of backward_blocks takes
const BLOCKS: u32 = 0; // 1: the entry is backward_blocks

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit * ROWS >= params.rows) { return; }
  // @unroll r in 0..ROWS
  let row$r = min(unit * ROWS + $(r)u, params.rows - 1u);
  let at$r = row$r * params.H;
  let shift$r = front(take(at$r));
  var mean$r = E();
  var lost$r = E(); // what rounding took from the mean: the second pass finds it
  var squares$r = E();
  // @end
  for (var c = 0u; c < params.H; c++) {
    let part = 1.0 / (f32(c) + 1.0);
    // @unroll r in 0..ROWS
    let gap$r = take(at$r + c) - shift$r - mean$r;
    squares$r += gap$r * gap$r * (f32(c) * part);
    mean$r += gap$r * part;
    // @end
  }
  let size = f32(params.H);
  // @unroll r in 0..ROWS
  let center$r = across(mean$r) / f32(WIDTH);
  let apart$r = mean$r - center$r;
  let variance$r = across(squares$r + size * apart$r * apart$r) / (size * f32(WIDTH));
  let inverse$r = 1.0 / sqrt(variance$r + params.eps);
  rstd[row$r] = inverse$r;
  // @end
  for (var c = 0u; c < params.H; c++) {
    let scale = weight[c];
    let offset = bias[c];
    // @unroll r in 0..ROWS
    let v$r = (taken(at$r + c) - shift$r) - center$r;
    lost$r += v$r;
    y[at$r + c] = keep(finished(v$r * inverse$r * scale + offset, at$r + c));
    // @end
  }
  // @unroll r in 0..ROWS
  mean[row$r] = shift$r + (center$r + across(lost$r) / (size * f32(WIDTH)));
  // @end
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  if (unit * ROWS >= params.rows) { return; }
  // @unroll r in 0..ROWS
  let row$r = min(unit * ROWS + $(r)u, params.rows - 1u);
  let at$r = row$r * params.H;
  let center$r = mean_in[row$r];
  let inverse$r = rstd_in[row$r];
  var total$r = E();
  var along$r = E();
  // @end
  for (var c = 0u; c < params.H; c++) {
    let scale = weight_in[c];
    // @unroll r in 0..ROWS
    let g$r = gradient(at$r + c) * scale;
    total$r += g$r;
    along$r += g$r * ((load(sum_in[at$r + c]) - center$r) * inverse$r);
    // @end
  }
  let size = f32(params.H * WIDTH);
  // @unroll r in 0..ROWS
  let g_mean$r = across(total$r) / size;
  let gn_mean$r = across(along$r) / size;
  // @end
  for (var c = 0u; c < params.H; c++) {
    let scale = weight_in[c];
    // @unroll r in 0..ROWS
    let n$r = (load(sum_in[at$r + c]) - center$r) * inverse$r;
    store(at$r + c, inverse$r * (gradient(at$r + c) * scale - g_mean$r - n$r * gn_mean$r));
    // @end
  }
}

// @if BLOCKS
@group(0) @binding(7) var<storage, read_write> block_partials: array<E>;

@compute @workgroup_size(WG)
fn backward_blocks(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let block = invocation_index(wid, count, local, WG);
  if (block * BLOCK >= params.rows) { return; }
  // The last row may be taken again; live keeps it from counting twice.
  // @unroll r in 0..BLOCK
  let row$r = min(block * BLOCK + $(r)u, params.rows - 1u);
  let live$r = select(0.0, 1.0, block * BLOCK + $(r)u < params.rows);
  let at$r = row$r * params.H;
  let center$r = mean_in[row$r];
  let inverse$r = rstd_in[row$r];
  var total$r = E();
  var along$r = E();
  // @end
  for (var c = 0u; c < params.H; c++) {
    let scale = weight_in[c];
    // @unroll r in 0..BLOCK
    let d$r = gradient(at$r + c);
    let dn$r = d$r * ((load(sum_in[at$r + c]) - center$r) * inverse$r);
    total$r += d$r * scale;
    along$r += dn$r * scale;
    // @end
    let at = block * params.H + c;
    block_partials[at] = E()
    // @unroll r in 0..BLOCK
      + dn$r * live$r
    // @end
    ;
    block_partials[params.second + at] = E()
    // @unroll r in 0..BLOCK
      + d$r * live$r
    // @end
    ;
  }
  let size = f32(params.H * WIDTH);
  // @unroll r in 0..BLOCK
  let g_mean$r = across(total$r) / size;
  let gn_mean$r = across(along$r) / size;
  // @end
  for (var c = 0u; c < params.H; c++) {
    let scale = weight_in[c];
    // @unroll r in 0..BLOCK
    let n$r = (load(sum_in[at$r + c]) - center$r) * inverse$r;
    store(at$r + c, inverse$r * (gradient(at$r + c) * scale - g_mean$r - n$r * gn_mean$r));
    // @end
  }
}
// @end

@group(0) @binding(6) var<storage, read_write> partials: array<E>;

@compute @workgroup_size(WG)
fn columns(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = invocation_index(wid, count, local, WG);
  let block = unit / params.H;
  let c = unit - block * params.H;
  let end = min((block + 1u) * params.per_block, params.rows);
  if (block * params.per_block >= params.rows) { return; }
  var dweight = E();
  var dbias = E();
  for (var row = block * params.per_block; row < end; row++) {
    let d = gradient(row * params.H + c);
    dweight += d * ((load(sum_in[row * params.H + c]) - mean_in[row]) * rstd_in[row]);
    dbias += d;
  }
  partials[unit] = dweight;
  partials[params.second + unit] = dbias;
}

@group(0) @binding(1) var<storage, read> partials_in: array<E>;
@group(0) @binding(2) var<storage, read_write> dweight_out: array<E>;
@group(0) @binding(3) var<storage, read_write> dbias_out: array<E>;

@compute @workgroup_size(WG)
fn finish(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = invocation_index(wid, count, local, WG);
  if (c >= params.H) { return; }
  var dweight = E();
  var dbias = E();
  for (var block = 0u; block < params.rows; block++) {
    dweight += partials_in[block * params.H + c];
    dbias += partials_in[params.second + block * params.H + c];
  }
  if (params.accumulate == 1u) {
    dweight += dweight_out[c];
    dbias += dbias_out[c];
  }
  dweight_out[c] = dweight;
  dbias_out[c] = dbias;
}
