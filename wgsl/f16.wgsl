// Half precision in storage: two binary16 in a u32, the first in the low bits, four values a vec2u. unpack2x16float and
// pack2x16float are WGSL 1.0, so this needs no feature. Prepended to the kernels that load or store f16; they compute in f32.
// WGSL leaves open what pack2x16float makes of values outside binary16's range: infinity and NaN are put in by hand.

fn unpack4(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }

fn pack4(v: vec4f) -> vec2u {
  let bits = bitcast<vec4u>(v);
  let size = bits & vec4u(0x7fffffffu);
  let beyond = size >= vec4u(0x477ff000u); // 65520, from where rounding to nearest gives infinity
  let kept = select(clamp(v, vec4f(-65504.0), vec4f(65504.0)), vec4f(), beyond);
  let sign = (bits >> vec4u(16u)) & vec4u(0x8000u);
  let special = select(vec4u(0x7c00u), vec4u(0x7e00u), size > vec4u(0x7f800000u)) | sign;
  let s = select(vec4u(), special, beyond);
  return vec2u(pack2x16float(kept.xy) | s.x | (s.y << 16u), pack2x16float(kept.zw) | s.z | (s.w << 16u));
}
