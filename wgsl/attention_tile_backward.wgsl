// The backward pass of attention_tile.wgsl, which stands before this text.

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(wid, count);
  if (unit >= params.slots * params.A) { return; }
  let span = queries_of(unit);
  if (span.first >= span.end) { return; }
  let x = local % CX;
  let own = local / CX * R;
  let to = keys_end(span);
  // @unroll r in 0..R
  let t$r = min(span.first + own + $(r)u, span.end - 1u);
  let i$r = t$r * params.A + span.a;
  let lse$r = lse_of(t$r, span.a);
  // @end
  // @if GIVEN
  // @unroll r in 0..R
  let delta$r = delta_of(t$r, span.a);
  // @end
  // @else
  // @unroll r in 0..R
  var part$r = 0.0;
  for (var g = x; g < params.D; g += CX) {
    part$r = inner4(part$r, gradient(t$r, span.a, g), result(t$r, span.a, g));
  }
  parts[(own + $(r)u) * CX + x] = part$r;
  // @end
  workgroupBarrier();
  // @unroll r in 0..R
  let delta$r = whole(own + $(r)u);
  if (x == 0u && span.first + own + $(r)u < span.end) { store_delta(i$r, delta$r); }
  // @end
  // @end
  // @unroll l in 0..SL
  var dq$l = Sums();
  // @end
  for (var j0 = span.begin; j0 < to; j0 += M) {
    var dots = Scores();
    var along = Scores();
    // One text for both: its code is most of the kernel's.
    for (var both = 0u; both < 2u; both++) {
      dots = along;
      along = products(select(QUERY, GRADIENT, both == 1u), select(KEY, VALUE, both == 1u), span, j0, local);
    }
    let j = j0 + 4u * x;
    let keys = four_keys(j, span.until);
    // @unroll r in 0..R
    let key$r = seen(keys, j, span.begin, t$r - span.start);
    // @if DROP
    let dweight$r = factors(draw(i$r, (j - span.begin) / 4u)) * along.r$r;
    // @else
    let dweight$r = along.r$r;
    // @end
    let weight$r = exp(params.scale * dots.r$r - lse$r);
    let ds$r = select(vec4f(), params.scale * weight$r * (dweight$r - delta$r), key$r);
    // @end
    hand(Scores(
      // @unroll r in 0..R
      ds$r,
      // @end
    ), local);
    // @unroll l in 0..SL
    dq$l = weigh(KEY, dq$l, span, j0, $(l)u * G, local);
    // @end
  }
  // @unroll r in 0..R
  if (span.first + own + $(r)u < span.end) {
    // @unroll l in 0..SL
    // @unroll w in 0..W
    if ($(l)u * G + $(w)u * CX + x < params.D) {
      store_dq(t$r, span.a, $(l)u * G + $(w)u * CX + x, dq$l.r$(r)_$w);
    }
    // @end
    // @end
  }
  // @end
}

// The own tokens are keys here, those they meet queries.
@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(wid, count);
  if (unit >= params.slots * params.A) { return; }
  let span = keys_of(unit);
  if (span.first >= span.end) { return; }
  let x = local % CX;
  let own = local / CX * R;
  var begin = span.begin;
  if (causal()) { begin = min(span.until, begin + span.first - span.start); }
  // @unroll r in 0..R
  let j$r = min(span.first + own + $(r)u, span.end - 1u);
  let is$r = is_key(j$r);
  // @end
  // @unroll l in 0..SL
  var dk$l = Sums();
  var dv$l = Sums();
  // @end
  for (var t0 = begin; t0 < span.until; t0 += M) {
    var dots = Scores();
    var along = Scores();
    // One text for both: its code is most of the kernel's.
    for (var both = 0u; both < 2u; both++) {
      dots = along;
      along = products(select(KEY, VALUE, both == 1u), select(QUERY, GRADIENT, both == 1u), span, t0, local);
    }
    let t = vec4u(t0 + 4u * x) + vec4u(0u, 1u, 2u, 3u);
    let at = min(t, vec4u(span.until - 1u));
    let i = at * params.A + span.a;
    let lses = vec4f(lse_of(at.x, span.a), lse_of(at.y, span.a), lse_of(at.z, span.a), lse_of(at.w, span.a));
    let deltas = vec4f(delta_of(at.x, span.a), delta_of(at.y, span.a), delta_of(at.z, span.a), delta_of(at.w, span.a));
    // @if SHARED
    // A draw is four keys', and here more than one invocation's: a query's, four keys by four, in a row of tile_b.
    for (var d = local; d < M * N / 4u; d += WG) {
      let query = min(t0 + d % M, span.until - 1u) * params.A + span.a;
      tile_b[d % M * ROW + d / M] = factors(draw(query, (span.first - span.start) / 4u + d / M));
    }
    workgroupBarrier();
    // @unroll c in 0..4
    let shared$c = tile_b[(4u * x + $(c)u) * ROW + own / 4u];
    // @end
    // @unroll r in 0..R
    let f$r = vec4f(shared0[(own + $(r)u) % 4u], shared1[(own + $(r)u) % 4u], shared2[(own + $(r)u) % 4u], shared3[(own + $(r)u) % 4u]);
    // @end
    workgroupBarrier();
    // @else
    // @unroll c in 0..4*DROP
    let drawn$c = factors(draw(i[$c], (span.first - span.start + own) / 4u));
    // @end
    // @unroll r in 0..R
    // @if DROP
    let f$r = vec4f(drawn0[$r], drawn1[$r], drawn2[$r], drawn3[$r]);
    // @else
    let f$r = vec4f(1.0);
    // @end
    // @end
    // @end
    // @unroll r in 0..R
    var counts$r = (t < vec4u(span.until)) & vec4<bool>(is$r);
    if (causal()) { counts$r &= t - vec4u(span.begin) >= vec4u(j$r - span.start); }
    let weight$r = exp(params.scale * dots.r$r - lses);
    let ds$r = select(vec4f(), params.scale * weight$r * (f$r * along.r$r - deltas), counts$r);
    // @end
    hand(Scores(
      // @unroll r in 0..R
      select(vec4f(), f$r * weight$r, counts$r),
      // @end
    ), local);
    // @unroll l in 0..SL
    dv$l = weigh(GRADIENT, dv$l, span, t0, $(l)u * G, local);
    // @end
    hand(Scores(
      // @unroll r in 0..R
      ds$r,
      // @end
    ), local);
    // @unroll l in 0..SL
    dk$l = weigh(QUERY, dk$l, span, t0, $(l)u * G, local);
    // @end
  }
  // @unroll r in 0..R
  if (span.first + own + $(r)u < span.end) {
    // @unroll l in 0..SL
    // @unroll w in 0..W
    if ($(l)u * G + $(w)u * CX + x < params.D) {
      store_dk(j$r, span.a, $(l)u * G + $(w)u * CX + x, dk$l.r$(r)_$w);
      store_dv(j$r, span.a, $(l)u * G + $(w)u * CX + x, dv$l.r$(r)_$w);
    }
    // @end
    // @end
  }
  // @end
}
