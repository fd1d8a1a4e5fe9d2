// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four random words that depend on nothing but counter and key, so
// that a dropout mask is drawn again in the backward pass instead of being stored. Prepended to the kernels that draw.

// The upper 32 bits of a * b. WGSL has no such product, so it is put together from 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let middle = a1 * b0 + ((a0 * b0) >> 16u); // below 2^32: (2^16 - 1)^2 + 2^16 - 1
  let carry = a0 * b1 + (middle & 0xffffu);
  return a1 * b1 + (middle >> 16u) + (carry >> 16u);
}

fn philox4x32(counter: vec4u, key: vec2u) -> vec4u {
  let c0 = counter;
  let k0 = key;
  // @unroll i in 0..10
  let c$(i + 1) = vec4u(
    multiply_high(0xcd9e8d57u, c$i.z) ^ c$i.y ^ k$i.x,
    0xcd9e8d57u * c$i.z,
    multiply_high(0xd2511f53u, c$i.x) ^ c$i.w ^ k$i.y,
    0xd2511f53u * c$i.x,
  );
  let k$(i + 1) = k$i + vec2u(0x9e3779b9u, 0xbb67ae85u);
  // @end
  return c10;
}
