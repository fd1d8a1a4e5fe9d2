// a * b + c of an optimizer's rule. WGSL lets a compiler fuse a product and a sum, in one pipeline and not in another; but rows that replay a step
// (optimizer.wgsl) are to have the bits of the dense kernel. With FUSED both round once, because fma says so: GPUs have it. Software adapters
// leave what is written as it is, and without it they keep what a seed gave before.

const FUSED: u32 = 0;

// @if FUSED
fn multiply_add(a: vec4f, b: vec4f, c: vec4f) -> vec4f { return fma(a, b, c); }
// @else
fn multiply_add(a: vec4f, b: vec4f, c: vec4f) -> vec4f { return a * b + c; }
// @end
