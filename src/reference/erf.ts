const SQRT_PI = Math.sqrt(Math.PI)
// Below, the series needs few terms and 1 - erf keeps 13 digits; above, the continued fraction has converged.
const SERIES_UP_TO = 1.5
const FRACTION_TERMS = 100

/**
 * Series with terms of one sign, so nothing cancels: erf(x) = 2/√π exp(-x²) Σ 2ⁿ x^(2n+1) / (1·3·5···(2n+1)).
 * Source: DLMF 7.6.2, https://dlmf.nist.gov/7.6
 */
function erfSeries(x: number): number {
  let term = x
  let sum = 0
  for (let n = 0; sum + term !== sum; n++) {
    sum += term
    term *= (2 * x * x) / (2 * n + 3)
  }
  return (2 / SQRT_PI) * Math.exp(-x * x) * sum
}

/**
 * erfc(x) = exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))) for x >= 1.5, from the innermost term outward.
 * Source: DLMF, https://dlmf.nist.gov/7.9
 */
function erfcFraction(x: number): number {
  let fraction = x
  for (let n = FRACTION_TERMS; n >= 1; n--) fraction = x + n / 2 / fraction
  return Math.exp(-x * x) / SQRT_PI / fraction
}

/** Error function, 2/√π ∫₀ˣ exp(-t²) dt, to about 1e-15. */
export function erf(x: number): number {
  const size = Math.abs(x)
  const value = size < SERIES_UP_TO ? erfSeries(size) : 1 - erfcFraction(size)
  return x < 0 ? -value : value
}

/** 1 - erf(x) without the cancellation: small values keep their relative accuracy. */
export function erfc(x: number): number {
  return x < SERIES_UP_TO ? 1 - erf(x) : erfcFraction(x)
}
