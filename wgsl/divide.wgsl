// The quotient of whole numbers, by way of floats: integer division is slow on software adapters, which take it lane by lane. The first
// guess is off by what float32 rounds, the second by one at most. d is 2 or more.
fn divide(i: u32, d: u32) -> u32 {
  let per = 1.0 / f32(d);
  let guess = u32(f32(i) * per);
  let off = bitcast<i32>(i - guess * d);
  let q = guess + bitcast<u32>(i32(floor(f32(off) * per)));
  let rest = bitcast<i32>(i - q * d);
  return q + select(0u, 1u, rest >= i32(d)) - select(0u, 1u, rest < 0);
}
