// Phi(x) = (1 + erf(x / sqrt 2)) / 2. erfc by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7), evaluated on |x| so
// that the left tail keeps its relative precision. Prepended to the kernels that take a GELU.

// exp(-x^2 / 2)
fn gauss(v: vec4f) -> vec4f { return exp(-0.5 * v * v); }

fn normal_cdf(v: vec4f, g: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.3275911 * 0.70710678 * abs(v));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * p * g;
  return select(1.0 - tail, tail, v < vec4f());
}
