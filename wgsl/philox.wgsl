// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four random words that depend on nothing but counter and key, so
// that a dropout mask is drawn again in the backward pass instead of being stored. Prepended to the kernels that draw.

const SHIFTS: u32 = 1; // 0: the adapter shifts vectors lane by lane (SwiftShader: thirty instructions a shift)

// x >> 16
// @if SHIFTS
fn high_half(x: u32) -> u32 { return x >> 16u; }
// @end
// The same by float32, exact at every step: 16 significant bits, an exact scale, and 1.5 * 2^23, whose units are 1.
// @if 1-SHIFTS
fn high_half(x: u32) -> u32 {
  return bitcast<u32>(f32(bitcast<i32>(x & 0xffff0000u)) * 1.52587890625e-5 + 12582912.0) & 0xffffu;
}
// @end

// The upper 32 bits of a * b, given the lower ones and a's halves. WGSL has no such product, so it is put together from 16-bit
// halves; a0 * b0, of which only the upper half h counts, is not among them: q + r0 + h is between q + r0 and
// q + r0 + 0xffff, and `lower` has its last 16 bits. No sum passes 2^32.
fn multiply_high(a1: u32, a0: u32, b: u32, lower: u32) -> u32 {
  let b1 = high_half(b);
  let q = a1 * (b & 0xffffu);
  let r = a0 * b1;
  return a1 * b1 + high_half(r) + high_half(q + (r & 0xffffu) + high_half(~lower));
}

fn philox4x32(counter: vec4u, key: vec2u) -> vec4u {
  let c0 = counter;
  let k0 = key;
  // @unroll i in 0..10
  let z$i = 0xcd9e8d57u * c$i.z;
  let x$i = 0xd2511f53u * c$i.x;
  let c$(i + 1) = vec4u(
    multiply_high(0xcd9eu, 0x8d57u, c$i.z, z$i) ^ c$i.y ^ k$i.x,
    z$i,
    multiply_high(0xd251u, 0x1f53u, c$i.x, x$i) ^ c$i.w ^ k$i.y,
    x$i,
  );
  let k$(i + 1) = k$i + vec2u(0x9e3779b9u, 0xbb67ae85u);
  // @end
  return c10;
}
