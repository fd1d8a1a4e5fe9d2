// LayerNorm for GPUs: LANES invocations of a workgroup share a row, whose neighbouring E neighbouring invocations take, PER each, and
// add up through group_sum.wgsl.
//   forward   as layernorm.wgsl's: x (, residual), weight, bias -> y, mean, rstd (, sum)
//   backward  dy, sum, weight, mean, rstd (, y) -> dx (, dropped); with SUMS also
//             sums[blocks, 2, H]: over each block of per_block rows, which its invocations take in turn, of dy * n and of dy
//   finish    sums -> dweight, dbias [H]: over the blocks; overwrites, or adds with accumulate
//   backward_whole  backward and finish in one, for rows so few that COLUMNS columns of all of them are soon added up: those groups come first,
//             and then the rows' own, which know nothing of them. dweight is at 0 of gradients, dbias at params.second
// A row is read once and held in registers; of a longer one (PER is 0) every pass reads memory again. Mean and variance are taken of
// values less the row's first, so that a row of equal values has variance 0 exactly; the second pass, over what is left
// once the mean is off, mends mean and variance by what rounding left in it (Chan, Golub and LeVeque 1983).
// group_sum.wgsl, layernorm_values.wgsl and column_sum.wgsl stand before this text.

const WG: u32 = 64;
const PER: u32 = 4;
const SUMS: u32 = 0;
const WHOLE: u32 = 0; // 1: the entry is backward_whole

var<workgroup> fronts: array<f32, WG / LANES>;
// The first value of the row, which its first invocation has.
fn shared_front(p: Place, v: E) -> f32 {
  if (lane_of(p) == 0u) { fronts[p.local / LANES] = front(v); }
  workgroupBarrier();
  return fronts[p.local / LANES];
}

fn both(v: E) -> vec2f { return vec2f(across(v), across(v * v)); }

@compute @workgroup_size(WG)
fn forward(p: Place) {
  let row = row_of(p);
  let lane = lane_of(p);
  let at = row * params.H;
  let end = select(0u, params.H, row < params.rows); // past the last row nothing is read or written
  let size = f32(params.H * WIDTH);
  // @if PER
  // @unroll j in 0..PER
  let c$j = lane + $(j)u * LANES;
  var v$j = E();
  var scale$j = E();
  var offset$j = E();
  if (c$j < end) {
    v$j = take(at + c$j);
    scale$j = weight[c$j];
    offset$j = bias[c$j];
  }
  // @end
  let shift = shared_front(p, v0);
  var total = E();
  // @unroll j in 0..PER
  v$j = select(E(), v$j - shift, c$j < end);
  total += v$j;
  // @end
  let center = group_sum1(p, across(total)) / size;
  var along = vec2f();
  // @unroll j in 0..PER
  v$j = select(E(), v$j - center, c$j < end);
  along += both(v$j);
  // @end
  // @else
  var first = E();
  if (lane < end) { first = take(at + lane); }
  let shift = shared_front(p, first);
  var total = E();
  for (var c = lane; c < end; c += LANES) { total += take(at + c) - shift; }
  let center = group_sum1(p, across(total)) / size;
  var along = vec2f();
  for (var c = lane; c < end; c += LANES) { along += both(taken(at + c) - shift - center); }
  // @end
  let left = group_sum2(p, along) / size;
  let inverse = 1.0 / sqrt(max(left.y - left.x * left.x, 0.0) + params.eps);
  // @if PER
  // @unroll j in 0..PER
  if (c$j < end) { y[at + c$j] = keep(finished((v$j - left.x) * inverse * scale$j + offset$j, at + c$j)); }
  // @end
  // @else
  for (var c = lane; c < end; c += LANES) {
    let v = taken(at + c) - shift - center - left.x;
    y[at + c] = keep(finished(v * inverse * weight[c] + bias[c], at + c));
  }
  // @end
  if (lane < min(end, 1u)) {
    mean[row] = shift + (center + left.x);
    rstd[row] = inverse;
  }
}

// @if SUMS
@group(0) @binding(7) var<storage, read_write> sums: array<E>;
// @end

// Of a block of rows; all of a workgroup are here.
fn gradients_of(p: Place, block: u32) {
  let lane = lane_of(p);
  let size = f32(params.H * WIDTH);
  // @unroll j in 0..PER
  let c$j = lane + $(j)u * LANES;
  var scale$j = E();
  if (c$j < params.H) { scale$j = weight_in[c$j]; }
  // @end
  // @unroll j in 0..PER*SUMS
  var dweight$j = E();
  var dbias$j = E();
  // @end
  for (var r = 0u; r < params.per_block; r++) {
    let row = block * params.per_block + r;
    let at = row * params.H;
    let end = select(0u, params.H, row < params.rows);
    var center = 0.0;
    var inverse = 0.0;
    if (end > 0u) {
      center = mean_in[row];
      inverse = rstd_in[row];
    }
    var total = E();
    var along = E();
    // @if PER
    // @unroll j in 0..PER
    var d$j = E();
    var n$j = E();
    if (c$j < end) {
      d$j = gradient(at + c$j);
      n$j = (load(sum_in[at + c$j]) - center) * inverse;
    }
    total += d$j * scale$j;
    along += d$j * scale$j * n$j;
    // @end
    // @unroll j in 0..PER*SUMS
    dweight$j += d$j * n$j;
    dbias$j += d$j;
    // @end
    // @else
    for (var c = lane; c < end; c += LANES) {
      let d = gradient(at + c);
      let n = (load(sum_in[at + c]) - center) * inverse;
      let g = d * weight_in[c];
      total += g;
      along += g * n;
      // @if SUMS
      let i = block * 2u * params.H + c;
      var dweight = d * n;
      var dbias = d;
      if (r > 0u) {
        dweight += sums[i];
        dbias += sums[i + params.H];
      }
      sums[i] = dweight;
      sums[i + params.H] = dbias;
      // @end
    }
    // @end
    let means = group_sum2(p, vec2f(across(total), across(along))) / size;
    // @if PER
    // @unroll j in 0..PER
    if (c$j < end) { store(at + c$j, inverse * (d$j * scale$j - means.x - n$j * means.y)); }
    // @end
    // @else
    for (var c = lane; c < end; c += LANES) {
      let n = (load(sum_in[at + c]) - center) * inverse;
      store(at + c, inverse * (gradient(at + c) * weight_in[c] - means.x - n * means.y));
    }
    // @end
  }
  // @unroll j in 0..PER*SUMS
  if (c$j < params.H && block * params.per_block < params.rows) {
    sums[block * 2u * params.H + c$j] = dweight$j;
    sums[(block * 2u + 1u) * params.H + c$j] = dbias$j;
  }
  // @end
}

@compute @workgroup_size(WG)
fn backward(p: Place) { gradients_of(p, row_of(p)); }

// @if WHOLE
@group(0) @binding(7) var<storage, read_write> gradients: array<E>;

fn add_gradient(i: u32, total: E) { gradients[i] = select(E(), gradients[i], params.accumulate == 1u) + total; }

// Builtins one by one: a branch on the member of a struct in which others are an invocation's own would not count as uniform.
@compute @workgroup_size(WG)
fn backward_whole(
  @builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32,
  // @if SUBGROUPS*(LANES/WG)
  @builtin(subgroup_invocation_id) lane: u32,
  // @end
) {
  let groups = (params.H + COLUMNS - 1u) / COLUMNS;
  let group = group_index(wid, count);
  if (group >= groups) {
    // @if SUBGROUPS*(LANES/WG)
    let p = Place(wid, count, local, lane);
    // @else
    let p = Place(wid, count, local);
    // @end
    gradients_of(p, row_of(p) - groups * (WG / LANES));
    return;
  }
  let c = group * COLUMNS + local % COLUMNS;
  let within = c < params.H;
  var dweight = E();
  var dbias = E();
  for (var row = local / COLUMNS; row < params.rows; row += 4u * SLICES) {
    // @unroll k in 0..4
    let row$k = row + $(k)u * SLICES;
    let r$k = min(row$k, params.rows - 1u);
    let at$k = r$k * params.H + min(c, params.H - 1u);
    let d$k = select(E(), gradient(at$k), row$k < params.rows);
    let n$k = select(E(), (load(sum_in[at$k]) - mean_in[r$k]) * rstd_in[r$k], row$k < params.rows);
    // @end
    dweight += (d0 * n0 + d1 * n1) + (d2 * n2 + d3 * n3);
    dbias += (d0 + d1) + (d2 + d3);
  }
  let weight_sum = column_sum(local, dweight);
  workgroupBarrier();
  let bias_sum = column_sum(local, dbias);
  if (local < COLUMNS && within) {
    add_gradient(c, weight_sum);
    add_gradient(params.second + c, bias_sum);
  }
}
// @end

@group(0) @binding(1) var<storage, read> sums_in: array<E>;
@group(0) @binding(2) var<storage, read_write> dweight_out: array<E>;
@group(0) @binding(3) var<storage, read_write> dbias_out: array<E>;

@compute @workgroup_size(WG)
fn finish(p: Place) {
  let c = group_index(p.wid, p.count) * COLUMNS + p.local % COLUMNS;
  var total = E();
  if (c < 2u * params.H) {
    for (var block = p.local / COLUMNS; block < params.rows; block += 4u * SLICES) {
      // @unroll k in 0..4
      let b$k = block + $(k)u * SLICES;
      let s$k = select(E(), sums_in[min(b$k, params.rows - 1u) * 2u * params.H + c], b$k < params.rows);
      // @end
      total += (s0 + s1) + (s2 + s3);
    }
  }
  total = column_sum(p.local, total);
  if (p.local >= COLUMNS) { return; }
  if (c < params.H) {
    if (params.accumulate == 1u) { total += dweight_out[c]; }
    dweight_out[c] = total;
  } else if (c < 2u * params.H) {
    if (params.accumulate == 1u) { total += dbias_out[c - params.H]; }
    dbias_out[c - params.H] = total;
  }
}
