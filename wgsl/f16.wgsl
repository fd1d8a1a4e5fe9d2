// Half precision in storage: two binary16 in a u32, the first in the low bits, four values a vec2u: the layout of
// pack2x16float. Nothing here needs a feature. Prepended to the kernels that load or store f16; they compute in f32.
// pack4 works on the bits: WGSL leaves open how pack2x16float rounds and what it makes of values beyond binary16's range, and
// software adapters take longer over it.

fn unpack4(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }

fn pack4(v: vec4f) -> vec2u {
  let bits = bitcast<vec4u>(v);
  let size = bits & vec4u(0x7fffffffu);
  // Rounds to nearest even by carrying into the bits that stay; from 65520 on the carry gives infinity.
  let normal = min((size + vec4u(0xfffu) + ((size >> vec4u(13u)) & vec4u(1u)) - vec4u(0x38000000u)) >> vec4u(13u), vec4u(0x7c00u));
  let small = bitcast<vec4u>(bitcast<vec4f>(size) + 0.5) - vec4u(0x3f000000u);
  let finite = select(normal, small, size < vec4u(0x38800000u));
  let h = select(finite, vec4u(0x7e00u), size > vec4u(0x7f800000u)) | ((bits >> vec4u(16u)) & vec4u(0x8000u));
  return vec2u(h.x | (h.y << 16u), h.z | (h.w << 16u));
}
