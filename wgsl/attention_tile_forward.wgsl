// The forward pass of attention_tile.wgsl, which stands before this text.

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(wid, count);
  if (unit >= params.slots * params.A) { return; }
  let span = queries_of(unit);
  if (span.first >= span.end) { return; }
  let x = local % CX;
  let own = local / CX * R;
  let to = keys_end(span);
  // @unroll r in 0..R
  let t$r = span.first + own + $(r)u;
  let i$r = t$r * params.A + span.a;
  var top$r = -3.0e38; // largest score so far
  var total$r = 0.0; // sum of this invocation's exp(score - top)
  // @end
  // @unroll l in 0..SL
  var out$l = Sums();
  // @end
  for (var j0 = span.begin; j0 < to; j0 += M) {
    let dots = products(QUERY, KEY, span, j0, local);
    let j = j0 + 4u * x;
    let keys = four_keys(j, span.until);
    // @unroll r in 0..R
    let key$r = seen(keys, j, span.begin, t$r - span.start);
    let score$r = select(vec4f(-3.0e38), params.scale * dots.r$r, key$r);
    parts[(own + $(r)u) * CX + x] = max(max(score$r.x, score$r.y), max(score$r.z, score$r.w));
    // @end
    workgroupBarrier();
    // @unroll r in 0..R
    var highest$r = top$r;
    // @end
    for (var y = 0u; y < CX; y++) {
      // @unroll r in 0..R
      highest$r = max(highest$r, parts[(own + $(r)u) * CX + y]);
      // @end
    }
    // @unroll r in 0..R
    let decay$r = exp(top$r - highest$r);
    top$r = highest$r;
    var weight$r = select(vec4f(), exp(score$r - highest$r), key$r);
    total$r = total$r * decay$r + (weight$r.x + weight$r.y + weight$r.z + weight$r.w);
    // @if DROP
    weight$r *= factors(draw(i$r, (j - span.begin) / 4u));
    // @end
    // @end
    hand(Scores(
      // @unroll r in 0..R
      weight$r,
      // @end
    ), local);
    // @unroll l in 0..SL
    // @unroll r in 0..R
    // @unroll w in 0..W
    out$l.r$(r)_$w *= decay$r;
    // @end
    // @end
    out$l = weigh(VALUE, out$l, span, j0, $(l)u * G, local);
    // @end
  }
  // @unroll r in 0..R
  parts[(own + $(r)u) * CX + x] = total$r;
  // @end
  workgroupBarrier();
  // @unroll r in 0..R
  if (t$r < span.end) {
    let sum = whole(own + $(r)u);
    let last = select(0.0, 1.0 / sum, sum > 0.0);
    // @unroll l in 0..SL
    // @unroll w in 0..W
    if ($(l)u * G + $(w)u * CX + x < params.D) {
      store_out(t$r, span.a, $(l)u * G + $(w)u * CX + x, last * out$l.r$(r)_$w);
    }
    // @end
    // @end
    if (x == 0u) { lse_out[i$r] = select(0.0, top$r + log(sum), sum > 0.0); }
  }
  // @end
}
