// 1 - exp(x) for x <= 0, with its relative precision kept where x is near 0: beta^t is close to 1 for hundreds of steps.
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  var series = 1.0;
  for (var i = 9u; i > 1u; i--) { series = 1.0 + x / f32(i) * series; }
  return -x * series;
}
